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

export function useWindow(frame: RefObject<HTMLElement | null>, count: number, height: number, more = 20): Span {
  const [seen, setSeen] = useState({ top: 0, view: 900 });
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return;
    const look = () =>
      setSeen((before) => {
        // Rows move in steps of a few, so that scrolling does not draw anew for every pixel.
        const step = height * Math.max(1, Math.floor(more / 4));
        const top = Math.floor(element.scrollTop / step) * step;
        const view = element.clientHeight + step;
        return before.top === top && before.view === view ? before : { top, view };
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
