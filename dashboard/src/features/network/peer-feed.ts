// The network socket, open while a view looks at it. A server without it is not asked for it: the API's own description
// says whether it is there. Messages are handed over at most once a frame; a hidden tab rests.

import { queryOptions, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { credentials, socketAddress } from "../../api/session";
import { backOff } from "../../live/state";
import { hear, type NetworkMessage, type NetworkPicture, NOTHING } from "./peers";

const SOCKET = "/ws/network";

const offeredQuery = queryOptions({
  queryKey: ["offers", SOCKET],
  queryFn: async () => {
    const answer = await fetch("/api/openapi.json", { headers: credentials() });
    if (!answer.ok) return false;
    const { paths } = (await answer.json()) as { paths?: Record<string, unknown> };
    return paths !== undefined && SOCKET in paths;
  },
  staleTime: Infinity,
});

export interface Heard {
  /** Whether the server tells of peers at all; none while that is not known. */
  readonly offered: boolean | null;
  readonly live: boolean;
  readonly picture: NetworkPicture;
}

export function useNetwork(): Heard {
  const { data: offered = null } = useQuery(offeredQuery);
  const [heard, setHeard] = useState<{ live: boolean; picture: NetworkPicture }>({ live: false, picture: NOTHING });
  useEffect(() => (offered ? listen((live, picture) => setHeard({ live, picture })) : undefined), [offered]);
  return { offered, ...heard };
}

/** Listens until the answer is called. */
function listen(tell: (live: boolean, picture: NetworkPicture) => void): () => void {
  let picture = NOTHING;
  let socket: WebSocket | null = null;
  let queue: NetworkMessage[] = [];
  let frame = 0;
  let timer = 0;
  let attempt = 0;

  function drop() {
    const open = socket;
    socket = null;
    open?.close();
    cancelAnimationFrame(frame);
    frame = 0;
    queue = [];
  }
  function again() {
    drop();
    tell(false, picture);
    window.clearTimeout(timer);
    if (!document.hidden) timer = window.setTimeout(connect, backOff(attempt++, Math.random()));
  }
  function apply() {
    frame = 0;
    const next = hear(picture, queue);
    queue = [];
    if (next === null) {
      again();
      return;
    }
    attempt = 0;
    picture = next;
    tell(true, picture);
  }
  function connect() {
    drop();
    const { url, protocols } = socketAddress(SOCKET, new URLSearchParams());
    const opened = new WebSocket(url, protocols);
    socket = opened;
    opened.onopen = () => opened.send(JSON.stringify({ subscribe: ["peers", "links", "messages", "reputation", "credits"] }));
    opened.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (socket !== opened || typeof data !== "string") return;
      queue.push(JSON.parse(data) as NetworkMessage);
      frame ||= requestAnimationFrame(apply);
    };
    opened.onclose = () => {
      if (socket === opened) again();
    };
  }
  function visibility() {
    if (document.hidden) {
      drop();
      window.clearTimeout(timer);
      tell(false, picture);
    } else if (!socket) {
      connect();
    }
  }
  document.addEventListener("visibilitychange", visibility);
  connect();
  return () => {
    document.removeEventListener("visibilitychange", visibility);
    window.clearTimeout(timer);
    drop();
  };
}
