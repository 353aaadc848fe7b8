// The log of a workload: followed, searched, and only the lines in view are drawn. The worker has the lines.

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import { credentials } from "../../api/session";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { CONTROL, FilterField } from "../../ui/field";
import { counted } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Failed, Trouble } from "../../ui/states";
import { Status } from "../../ui/status";
import { useWindow } from "../../ui/window";
import { problemFrom } from "../../api/problem";
import { LogLine } from "./log-line";
import type { Line } from "./store";
import type { FromWorker, ToWorker } from "./worker";

/** A million lines of this height stay below what browsers can lay out. */
const HEIGHT = 17;
/** So many of the newest lines of each container are read at first. */
const TAIL = 1_000_000;

interface Counts {
  total: number;
  shown: number;
  dropped: number;
  instances: [string, number][];
}

export function LogView({ workload }: { workload: string }) {
  const search = useSearch({ from: "/workloads/$name" });
  const navigate = useNavigate({ from: "/workloads/$name" });
  const query = search.q ?? "";
  const instance = search.instance ?? "";
  const [onlyErrors, setOnlyErrors] = useState(false);
  const [follow, setFollow] = useState(true);
  const [counts, setCounts] = useState<Counts>({ total: 0, shown: 0, dropped: 0, instances: [] });
  const [part, setPart] = useState<{ from: number; lines: Line[] }>({ from: 0, lines: [] });
  const [ended, setEnded] = useState<{ status: number; problem: unknown } | null>(null);
  const [fault, setFault] = useState<unknown>(null);
  const worker = useRef<Worker | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const send = (message: ToWorker) => worker.current?.postMessage(message);

  useEffect(() => {
    const made = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.current = made;
    made.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "counts") setCounts(data);
      else if (data.kind === "lines") setPart(data);
      else setEnded(data);
    };
    const url = `/api/workloads/${encodeURIComponent(workload)}/logs?follow=true&tail=${TAIL}`;
    send({ kind: "open", url, headers: credentials() });
    return () => made.terminate();
  }, [workload]);

  useEffect(() => send({ kind: "filter", filter: { query, instance, onlyErrors } }), [query, instance, onlyErrors]);

  const { from, to } = useWindow(frame, counts.shown, HEIGHT, 40);
  useEffect(() => send({ kind: "window", from, to }), [from, to]);
  useEffect(() => {
    const element = frame.current;
    if (follow && element) element.scrollTop = counts.shown * HEIGHT;
  }, [follow, counts.shown]);

  const letters = new Map(counts.instances.map(([id], index) => [id, index]));
  const change = (next: { q?: string; instance?: string }) => void navigate({ search: (before) => ({ ...before, ...next }), replace: true });

  async function download() {
    const path = `/api/workloads/${encodeURIComponent(workload)}/logs?timestamps=true${instance ? `&instance=${instance}` : ""}`;
    setFault(null);
    try {
      const reply = await fetch(path, { headers: credentials() });
      if (!reply.ok) throw problemFrom(reply.status, await reply.json().catch(() => null));
      save(await reply.blob());
    } catch (error) {
      setFault(error);
    }
  }

  function save(lines: Blob) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(lines);
    link.download = `${workload}.log`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  if (ended && ended.status !== 200 && counts.total === 0) return <Failed error={problemFrom(ended.status, ended.problem)} />;
  return (
    <div className="grid gap-3">
      <div className="flex flex-wrap items-center gap-2">
        <FilterField label="Search the log" value={query} onChange={(text) => change({ q: text || undefined })} />
        <select aria-label="Instance" className={`${CONTROL} w-auto!`} value={instance} onChange={(event) => change({ instance: event.target.value || undefined })}>
          <option value="">all instances</option>
          {counts.instances.map(([id, count], index) => (
            <option key={id} value={id}>
              {letterOf(index)} {id} ({count.toLocaleString("en")})
            </option>
          ))}
          {instance && !letters.has(instance) ? <option value={instance}>{instance}</option> : null}
        </select>
        <Button aria-pressed={onlyErrors} className="aria-pressed:border-accent" onClick={() => setOnlyErrors(!onlyErrors)}>
          Only errors
        </Button>
        <Button aria-pressed={follow} className="aria-pressed:border-accent" onClick={() => setFollow(!follow)}>
          <Icon name={follow ? "pause" : "play"} /> {follow ? "Following" : "Follow"}
        </Button>
        <Button onClick={() => void download()}>
          <Icon name="download" /> Download
        </Button>
        <span role="status" className="ml-auto flex items-center gap-2 text-dim">
          {counts.shown === counts.total ? counted(counts.total, "line") : `${counts.shown.toLocaleString("en")} of ${counted(counts.total, "line")}`}
          {counts.dropped > 0 ? `, ${counted(counts.dropped, "older line")} not kept` : ""}
          {ended ? <Status state="stale" label="ended" /> : null}
        </span>
      </div>
      <Trouble error={fault} />
      {/* Scrolling up, by wheel or key, ends the following. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        ref={frame}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={`Log of ${workload}`}
        className="h-[calc(100vh-21rem)] min-h-64 overflow-auto rounded-lg border border-line bg-panel font-mono text-[12px] leading-[17px] [overflow-anchor:none]"
        onWheel={(event) => {
          if (event.deltaY < 0) setFollow(false);
        }}
        onKeyDown={(event) => {
          if (["ArrowUp", "PageUp", "Home"].includes(event.key)) setFollow(false);
          if (event.key === "End") setFollow(true);
        }}
      >
        {counts.shown === 0 ? (
          <p className="p-4 font-sans text-dim">{counts.total === 0 ? "No lines yet. They appear here as they are written." : "No line fits the search."}</p>
        ) : null}
        <div className="relative w-max min-w-full" style={{ height: counts.shown * HEIGHT }}>
          {part.lines.map((line, index) => (
            <LogLine key={line.number} line={line} index={letters.get(line.instance) ?? 0} top={(part.from + index) * HEIGHT} />
          ))}
        </div>
      </div>
      <Command line={command("logs", workload, "--follow", instance ? "--instance" : null, instance || null)} />
    </div>
  );
}

/** A, B, … Z, A2, …: what tells instances apart beside their colour. */
export function letterOf(index: number): string {
  const round = Math.floor(index / 26);
  return String.fromCharCode(65 + (index % 26)) + (round > 0 ? String(round + 1) : "");
}
