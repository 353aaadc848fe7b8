// Which of many rows of one height are in view. A million rows cost no more than a hundred: nothing is kept for a row.

import { type RefObject, useLayoutEffect, useState } from "react";

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The rows to draw: those in view, and some before and after them. */
export function spanOf(top: number, view: number, count: number, height: number, more: number): Span {
  const from = Math.max(0, Math.floor(top / height) - more);
  const to = Math.min(count, Math.ceil((top + view) / height) + more);
  return { from: Math.min(from, to), to };
}

interface Seen {
  readonly top: number;
  readonly view: number;
}

/** Whether what was drawn for one view has all rows of another: then scrolling draws nothing anew. */
export function covers(drawn: Seen, now: Seen, height: number, more: number): boolean {
  const has = spanOf(drawn.top, drawn.view, Number.MAX_SAFE_INTEGER, height, more);
  const wants = spanOf(now.top, now.view, Number.MAX_SAFE_INTEGER, height, 0);
  return has.from <= wants.from && wants.to <= has.to;
}

/** Everything that may be in view at first: drawn once, and not again when the height is known. */
const FIRST = () => ({ top: 0, view: window.innerHeight });

export function useWindow(frame: RefObject<HTMLElement | null>, count: number, height: number, more = 12): Span {
  const [seen, setSeen] = useState(FIRST);
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return;
    const look = () =>
      setSeen((before) => {
        const now = { top: element.scrollTop, view: element.clientHeight };
        return covers(before, now, height, more) ? before : now;
      });
    look();
    const watch = new ResizeObserver(look);
    watch.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      watch.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, [frame, height, more, count > 0]); // eslint-disable-line react-hooks/exhaustive-deps -- the frame is there once there are rows
  return spanOf(seen.top, seen.view, count, height, more);
}
