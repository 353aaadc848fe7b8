// The one socket of the page: connects, hands messages to the reducer at most once per frame, tries again with growing
// pauses, rests while the tab is hidden, and says since when what is shown may be stale.

import { onSession, socketAddress } from "../api/session";
import { backOff, EMPTY, type Message, type Picture, reduce } from "./state";

const TOPICS = ["workloads", "instances", "nodes", "operations", "resources", "events"];
/** A hidden tab keeps its socket this long, so that a glance elsewhere costs nothing. */
const HIDDEN_PATIENCE = 15_000;
/** A socket that is quiet for so long is tried with a request, for a dead peer tells nothing. */
const QUIET = 15_000;

export type Status = "connecting" | "live" | "stale" | "paused";

export interface Live {
  readonly status: Status;
  /** When the picture was last known to be current, in milliseconds; null before the first snapshot. */
  readonly since: number | null;
  readonly picture: Picture;
}

type Listener = () => void;

class Feed {
  private live: Live = { status: "connecting", since: null, picture: EMPTY };
  private readonly listeners = new Set<Listener>();
  private socket: WebSocket | null = null;
  private queue: Message[] = [];
  private frame = 0;
  private attempt = 0;
  private timer = 0;
  private hiddenTimer = 0;
  private heardAt = 0;
  private listening = false;
  private wanted = false;

  snapshot = (): Live => this.live;

  subscribe = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  start() {
    if (this.wanted) return;
    this.wanted = true;
    if (!this.listening) {
      this.listening = true;
      document.addEventListener("visibilitychange", () => this.visibility());
      onSession(() => this.restart());
      window.setInterval(() => void this.probe(), QUIET);
    }
    this.connect();
  }

  /** Tries no more until it is started again: the server does not know who asks. */
  stop() {
    this.wanted = false;
    window.clearTimeout(this.timer);
    this.drop();
  }

  /** Tries at once, for who does not want to wait. */
  retry() {
    this.attempt = 0;
    this.connect();
  }

  private restart() {
    this.change({ status: "connecting", since: null, picture: EMPTY });
    this.attempt = 0;
    if (this.wanted) this.connect();
  }

  private connect() {
    window.clearTimeout(this.timer);
    this.drop();
    // In the address, so that the snapshot is under way before this page comes to say what it wants.
    const known: Record<string, string> = this.live.since === null ? {} : { since: String(this.live.picture.revision) };
    const { url, protocols } = socketAddress("/ws/orchestrator", new URLSearchParams({ subscribe: TOPICS.join(","), ...known }));
    const socket = new WebSocket(url, protocols);
    this.socket = socket;
    socket.onopen = () => {
      const since = this.live.since === null ? undefined : this.live.picture.revision;
      socket.send(JSON.stringify({ subscribe: TOPICS, since }));
      this.heardAt = Date.now();
      if (since !== undefined) this.current();
    };
    socket.onmessage = (message) => {
      if (this.socket !== socket || typeof message.data !== "string") return;
      this.heardAt = Date.now();
      this.queue.push(JSON.parse(message.data) as Message);
      this.frame ||= requestAnimationFrame(() => this.apply());
    };
    socket.onclose = () => {
      if (this.socket === socket) this.lost();
    };
  }

  private apply() {
    this.frame = 0;
    const messages = this.queue;
    this.queue = [];
    const outcome = reduce(this.live.picture, messages);
    if (outcome.kind === "resync") {
      // Nothing shown is thrown away until the new snapshot is here.
      this.change({ ...this.live, status: "stale", since: null });
      this.connect();
      return;
    }
    this.attempt = 0;
    this.change({ status: "live", since: Date.now(), picture: outcome.picture });
  }

  private current() {
    this.attempt = 0;
    this.change({ ...this.live, status: "live", since: Date.now() });
  }

  private lost() {
    this.drop();
    if (document.hidden) {
      this.change({ ...this.live, status: "paused" });
      return;
    }
    this.change({ ...this.live, status: "stale" });
    this.timer = window.setTimeout(() => this.connect(), backOff(this.attempt++, Math.random()));
  }

  private drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.queue = [];
  }

  private visibility() {
    window.clearTimeout(this.hiddenTimer);
    if (document.hidden) {
      this.hiddenTimer = window.setTimeout(() => {
        this.drop();
        this.change({ ...this.live, status: "paused" });
      }, HIDDEN_PATIENCE);
    } else if (!this.socket && this.wanted) {
      this.retry();
    }
  }

  private async probe() {
    if (!this.socket || this.socket.readyState !== WebSocket.OPEN || Date.now() - this.heardAt < QUIET) return;
    try {
      await fetch("/healthz", { signal: AbortSignal.timeout(5000) });
      if (this.live.status === "live") this.live = { ...this.live, since: Date.now() };
    } catch {
      this.socket?.close();
    }
  }

  private change(live: Live) {
    this.live = live;
    for (const listener of this.listeners) listener();
  }
}

export const feed = new Feed();
