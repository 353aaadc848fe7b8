// Draws connections: the path as the kind of line, the round trip as its width and colour, so that neither is told by
// colour alone. All lines of one kind are one stroke.

import type { Palette, View } from "./draw";
import type { Latency, Line } from "./peers";

export interface Joined {
  /** Places of the two nodes among those drawn. */
  readonly a: number;
  readonly b: number;
  readonly path: Line["path"];
  readonly latency: Latency;
}

/** On and off lengths, in pixels of the screen. */
export const DASHES: Record<Line["path"], readonly number[]> = { direct: [], punched: [9, 4], relayed: [2, 4], none: [1, 7] };
/** The nearer, the stronger. */
export const WIDTHS: Record<Latency, number> = { near: 2.6, region: 1.9, far: 1.3, slow: 0.8, unknown: 0.8 };

const toneOf = (latency: Latency, colours: Palette) =>
  ({ near: colours.ok, region: colours.info, far: colours.warn, slow: colours.bad, unknown: colours.dim })[latency];

export function drawLinks(context: CanvasRenderingContext2D, points: Float32Array, links: readonly Joined[], view: View, chosen: number | null, colours: Palette) {
  const kinds = new Map<string, Joined[]>();
  for (const link of links) {
    const key = `${link.path} ${link.latency}`;
    const list = kinds.get(key);
    if (list) list.push(link);
    else kinds.set(key, [link]);
  }
  for (const list of kinds.values()) {
    const [first] = list;
    if (!first) continue;
    context.beginPath();
    for (const { a, b } of list) {
      context.moveTo(points[a * 2] ?? 0, points[a * 2 + 1] ?? 0);
      context.lineTo(points[b * 2] ?? 0, points[b * 2 + 1] ?? 0);
    }
    context.setLineDash(DASHES[first.path].map((length) => length / view.scale));
    context.lineWidth = WIDTHS[first.latency] / view.scale;
    context.strokeStyle = toneOf(first.latency, colours);
    // Where one node is looked at, its own lines stand out.
    context.globalAlpha = chosen === null ? 0.75 : 0.25;
    context.stroke();
    if (chosen !== null) {
      const own = list.filter(({ a, b }) => a === chosen || b === chosen);
      context.beginPath();
      for (const { a, b } of own) {
        context.moveTo(points[a * 2] ?? 0, points[a * 2 + 1] ?? 0);
        context.lineTo(points[b * 2] ?? 0, points[b * 2 + 1] ?? 0);
      }
      context.globalAlpha = 1;
      context.stroke();
    }
  }
  context.globalAlpha = 1;
  context.setLineDash([]);
}

/** The lines between nodes that are drawn. */
export function joined(lines: readonly Line[], places: ReadonlyMap<string, number>): Joined[] {
  const found: Joined[] = [];
  for (const { a, b, path, latency } of lines) {
    const [from, to] = [places.get(a), places.get(b)];
    if (from !== undefined && to !== undefined) found.push({ a: from, b: to, path, latency });
  }
  return found;
}
