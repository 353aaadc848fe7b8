// What the lines of the graph mean, drawn as they are drawn there.

import { DASHES, WIDTHS } from "./draw-links";
import { LATENCIES } from "./peers";

const PATHS = [["direct", "direct"], ["punched", "through a router"], ["relayed", "by way of another"]] as const;
const COLOURS = { near: "stroke-ok", region: "stroke-info", far: "stroke-warn", slow: "stroke-bad" } as const;

function Sample({ dash, width, className }: { dash: readonly number[]; width: number; className: string }) {
  return (
    <svg viewBox="0 0 28 6" aria-hidden="true" className={`inline-block h-1.5 w-7 ${className}`}>
      <line x1="0" y1="3" x2="28" y2="3" strokeWidth={width} strokeDasharray={dash.join(" ")} />
    </svg>
  );
}

export function Legend() {
  return (
    <p aria-label="What the lines mean" role="note" className="flex flex-wrap gap-x-4 gap-y-1 border-t border-line px-3.5 py-2 text-[0.86rem] text-dim">
      {PATHS.map(([path, words]) => (
        <span key={path} className="whitespace-nowrap">
          <Sample dash={DASHES[path]} width={1.6} className="stroke-dim" /> {words}
        </span>
      ))}
      {LATENCIES.map(([latency, , words]) => (
        <span key={latency} className="whitespace-nowrap">
          <Sample dash={[]} width={WIDTHS[latency]} className={COLOURS[latency]} /> {words}
        </span>
      ))}
    </p>
  );
}
