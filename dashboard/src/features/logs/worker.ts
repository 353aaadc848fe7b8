// Reads the log stream, keeps its lines and answers which are in view: all of it beside the page, which stays free.

import { type Entry, EVERYTHING, type Filter, type Line, LogStore } from "./store";

export type ToWorker =
  | { kind: "open"; url: string; headers: Record<string, string> }
  | { kind: "filter"; filter: Filter }
  | { kind: "window"; from: number; to: number };

export type FromWorker =
  | { kind: "counts"; total: number; shown: number; dropped: number; instances: [string, number][] }
  | { kind: "lines"; from: number; lines: Line[] }
  | { kind: "ended"; status: number; problem: unknown };

/** Lines taken at once before the view is told, and how often it is told at most. */
const PAUSE = 80;

const store = new LogStore();
let view = { from: 0, to: 0 };
let told = 0;
let timer: ReturnType<typeof setTimeout> | null = null;

const post = (message: FromWorker) => self.postMessage(message);

function tell() {
  timer = null;
  told = Date.now();
  post({ kind: "counts", total: store.total, shown: store.shown, dropped: store.dropped, instances: [...store.instances] });
  post({ kind: "lines", from: view.from, lines: store.window(view.from, view.to) });
}

function soon() {
  timer ??= setTimeout(tell, Math.max(0, told + PAUSE - Date.now()));
}

async function read(url: string, headers: Record<string, string>) {
  const reply = await fetch(url, { headers: { ...headers, Accept: "application/x-ndjson" } });
  if (!reply.ok || !reply.body) {
    post({ kind: "ended", status: reply.status, problem: await reply.json().catch(() => null) });
    return;
  }
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest: string[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const parts = value.split("\n");
    const entries: Entry[] = [];
    for (const [at, part] of parts.entries()) {
      rest.push(part);
      if (at === parts.length - 1) break;
      const line = rest.join("");
      rest = [];
      if (line !== "") entries.push(JSON.parse(line) as Entry);
    }
    store.add(entries);
    soon();
  }
  tell();
  post({ kind: "ended", status: 200, problem: null });
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "open") {
    store.choose(EVERYTHING);
    read(data.url, data.headers).catch((error: unknown) => post({ kind: "ended", status: 0, problem: { detail: String(error) } }));
  } else if (data.kind === "filter") {
    store.choose(data.filter);
    tell();
  } else {
    view = { from: data.from, to: data.to };
    post({ kind: "lines", from: view.from, lines: store.window(view.from, view.to) });
  }
};
