// One line of a log.

import { memo } from "react";

import { clock, exact } from "../../ui/format";
import { letterOf } from "./log-view";
import { spans } from "./sgr";
import type { Line } from "./store";

const COLOURS = ["text-accent", "text-ok", "text-warn", "text-info", "sgr-magenta", "text-bad"];

export const LogLine = memo(function LogLine({ line, index, top }: { line: Line; index: number; top: number }) {
  const at = Date.parse(line.at);
  return (
    <div className="absolute left-0 flex h-[17px] gap-3 px-3 whitespace-pre hover:bg-raised" style={{ transform: `translateY(${top}px)` }}>
      <time dateTime={line.at} title={Number.isNaN(at) ? "" : exact(at)} className="text-dim select-none">
        {Number.isNaN(at) ? "" : clock(at)}
      </time>
      <span title={`${line.instance} ${line.container}`} className={`${COLOURS[index % COLOURS.length]} w-5 font-bold select-none`}>
        {letterOf(index)}
      </span>
      <span className={`w-3 select-none ${line.error ? "text-bad" : "text-dim"}`} title={line.error ? "standard error" : "standard output"}>
        {line.error ? "!" : "·"}
      </span>
      <span>
        {spans(line.text).map((span, place) => (
          <span key={place} className={span.classes || undefined}>
            {span.text}
          </span>
        ))}
        {line.cut > 0 ? <span className="text-dim"> … {line.cut.toLocaleString("en")} more characters; the download has them</span> : null}
      </span>
    </div>
  );
});
