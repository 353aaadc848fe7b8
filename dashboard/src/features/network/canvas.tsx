// The canvas with its movements: by pointer, wheel and keys. It draws at most once per frame.

import { type KeyboardEvent, type PointerEvent, useCallback, useEffect, useMemo, useRef } from "react";

import { draw, type Drawn, palette, RADIUS, type View } from "./draw";
import type { Joined } from "./draw-links";
import { finder, type Layout } from "./layout";

interface Props {
  graph: Layout;
  nodes: readonly Drawn[];
  chosen: number | null;
  links?: readonly Joined[];
  onChoose: (index: number | null) => void;
}

const MARGIN = 40;

const NONE: readonly Joined[] = [];

export function Canvas({ graph, nodes, chosen, links = NONE, onChoose }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const view = useRef<View | null>(null);
  const frame = useRef(0);
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const find = useMemo(() => finder(graph.points, RADIUS * 2), [graph]);

  const whole = useCallback((): View => {
    const { clientWidth = 1, clientHeight = 1 } = canvas.current ?? {};
    const scale = Math.min(2, (clientWidth - 2 * MARGIN) / Math.max(1, graph.width), (clientHeight - 2 * MARGIN) / Math.max(1, graph.height));
    return { scale, x: (clientWidth - graph.width * scale) / 2, y: (clientHeight - graph.height * scale) / 2 + 8 };
  }, [graph]);

  const paint = useCallback(() => {
    frame.current ||= requestAnimationFrame(() => {
      frame.current = 0;
      const element = canvas.current;
      const context = element?.getContext("2d");
      if (!element || !context) return;
      const ratio = Math.min(2, window.devicePixelRatio);
      const { clientWidth: width, clientHeight: height } = element;
      if (element.width !== Math.round(width * ratio) || element.height !== Math.round(height * ratio)) {
        element.width = Math.round(width * ratio);
        element.height = Math.round(height * ratio);
      }
      view.current ??= whole();
      draw(context, { width, height, ratio }, graph, nodes, view.current, chosen, palette(element.parentElement ?? document.body), links);
      element.dataset.links = String(links.length);
      element.dataset.drawn = String(nodes.length);
    });
  }, [graph, nodes, chosen, links, whole]);

  useEffect(() => {
    view.current = null;
  }, [graph]);
  useEffect(() => {
    paint();
    const element = canvas.current;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const watch = new ResizeObserver(paint);
    if (element) watch.observe(element);
    dark.addEventListener("change", paint);
    window.addEventListener("univrs:theme", paint);
    // A listener of React's cannot keep the page from scrolling.
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * 0.0015), event.offsetX, event.offsetY);
    };
    element?.addEventListener("wheel", wheel, { passive: false });
    return () => {
      watch.disconnect();
      dark.removeEventListener("change", paint);
      window.removeEventListener("univrs:theme", paint);
      element?.removeEventListener("wheel", wheel);
      cancelAnimationFrame(frame.current);
      frame.current = 0;
    };
  });

  function zoom(factor: number, x: number, y: number) {
    const before = view.current ?? whole();
    const scale = Math.min(8, Math.max(0.02, before.scale * factor));
    const by = scale / before.scale;
    view.current = { scale, x: x - (x - before.x) * by, y: y - (y - before.y) * by };
    paint();
  }

  function move(x: number, y: number) {
    const before = view.current ?? whole();
    view.current = { ...before, x: before.x + x, y: before.y + y };
    paint();
  }

  function under(event: PointerEvent<HTMLCanvasElement>): number | null {
    const box = event.currentTarget.getBoundingClientRect();
    const { scale, x, y } = view.current ?? whole();
    return find((event.clientX - box.left - x) / scale, (event.clientY - box.top - y) / scale);
  }

  function keys(event: KeyboardEvent<HTMLCanvasElement>) {
    const { clientWidth, clientHeight } = event.currentTarget;
    const steps: Record<string, () => void> = {
      ArrowLeft: () => move(60, 0),
      ArrowRight: () => move(-60, 0),
      ArrowUp: () => move(0, 60),
      ArrowDown: () => move(0, -60),
      "+": () => zoom(1.3, clientWidth / 2, clientHeight / 2),
      "-": () => zoom(1 / 1.3, clientWidth / 2, clientHeight / 2),
      "0": () => {
        view.current = null;
        paint();
      },
      Escape: () => onChoose(null),
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    step();
  }

  return (
    <canvas
      ref={canvas}
      // It is moved by keys, which no role but this one says; the list beside it says the same in words.
      tabIndex={0}
      // eslint-disable-next-line jsx-a11y/no-interactive-element-to-noninteractive-role
      role="application"
      aria-label={`Graph of ${nodes.length} nodes in ${graph.areas.length} regions. The list of regions says the same.`}
      className="block h-[calc(100vh-14rem)] min-h-80 w-full cursor-grab touch-none rounded-t-lg focus-visible:-outline-offset-2 active:cursor-grabbing"
      onKeyDown={keys}
      onPointerDown={(event) => {
        drag.current = { x: event.clientX, y: event.clientY, moved: false };
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        const from = drag.current;
        if (!from) {
          const found = under(event);
          event.currentTarget.title = found === null ? "" : (nodes[found]?.name ?? "");
          return;
        }
        const far = from.moved || Math.hypot(event.clientX - from.x, event.clientY - from.y) > 4;
        if (!far) return;
        move(event.clientX - from.x, event.clientY - from.y);
        drag.current = { x: event.clientX, y: event.clientY, moved: true };
      }}
      onPointerUp={(event) => {
        if (drag.current && !drag.current.moved) onChoose(under(event));
        drag.current = null;
      }}
    />
  );
}
