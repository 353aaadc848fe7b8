// Draws the graph on a canvas: areas, nodes by state, names where there is room for them. Nothing is left out; what is
// too small for a shape of its own becomes a dot.

import { drawLinks, type Joined } from "./draw-links";
import type { Layout } from "./layout";

export interface View {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

export interface Drawn {
  readonly name: string;
  readonly state: string;
}

export interface Palette {
  readonly text: string;
  readonly dim: string;
  readonly line: string;
  readonly panel: string;
  readonly raised: string;
  readonly ok: string;
  readonly warn: string;
  readonly bad: string;
  readonly info: string;
  readonly accent: string;
}

/** The colours as the page has them now, light or dark. */
export function palette(element: Element): Palette {
  const probe = document.createElement("span");
  element.append(probe);
  const read = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["text", "dim", "line", "panel", "raised", "ok", "warn", "bad", "info", "accent"] as const;
  const found = Object.fromEntries(names.map((name) => [name, read(name)])) as unknown as Palette;
  probe.remove();
  return found;
}

export const RADIUS = 7;

export function draw(context: CanvasRenderingContext2D, size: { width: number; height: number; ratio: number }, graph: Layout, nodes: readonly Drawn[], view: View, chosen: number | null, colours: Palette, links: readonly Joined[] = []) {
  const { width, height, ratio } = size;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y);
  const left = -view.x / view.scale;
  const top = -view.y / view.scale;
  const right = left + width / view.scale;
  const bottom = top + height / view.scale;

  context.lineWidth = 1 / view.scale;
  context.textAlign = "center";
  for (const area of graph.areas) {
    if (area.x + area.radius < left || area.x - area.radius > right || area.y + area.radius < top || area.y - area.radius > bottom) continue;
    context.beginPath();
    context.arc(area.x, area.y, area.radius, 0, 2 * Math.PI);
    context.fillStyle = colours.raised;
    context.fill();
    context.strokeStyle = colours.line;
    context.stroke();
    context.fillStyle = colours.text;
    const letter = Math.min(area.radius / 2.5, 13 / view.scale);
    context.font = `600 ${letter}px system-ui, sans-serif`;
    context.fillText(`${area.cloud} ${area.region}`, area.x, area.y - area.radius - letter * 0.35, area.radius * 2.4);
  }

  drawLinks(context, graph.points, links, view, chosen, colours);

  // One path for each state: drawing five thousand nodes is then six fills.
  const byState = new Map<string, number[]>();
  const { points } = graph;
  for (let index = 0; index < points.length / 2; index += 1) {
    const x = points[index * 2] ?? 0;
    const y = points[index * 2 + 1] ?? 0;
    if (x < left - 20 || x > right + 20 || y < top - 20 || y > bottom + 20) continue;
    const state = nodes[index]?.state ?? "ready";
    const list = byState.get(state);
    if (list) list.push(index);
    else byState.set(state, [index]);
  }
  const tone: Record<string, string> = { ready: colours.ok, cordoned: colours.warn, draining: colours.info, lost: colours.bad };
  const small = RADIUS * view.scale < 2.2;
  const radius = small ? 1.4 / view.scale : RADIUS;
  for (const [state, list] of byState) {
    context.beginPath();
    for (const index of list) shape(context, state, points[index * 2] ?? 0, points[index * 2 + 1] ?? 0, radius, small);
    context.fillStyle = tone[state] ?? colours.dim;
    context.fill();
  }
  if (view.scale > 1.6) {
    context.fillStyle = colours.text;
    context.font = `${11 / view.scale}px system-ui, sans-serif`;
    for (const list of byState.values()) {
      for (const index of list) context.fillText(nodes[index]?.name ?? "", points[index * 2] ?? 0, (points[index * 2 + 1] ?? 0) + RADIUS + 13 / view.scale);
    }
  }
  if (chosen !== null) {
    context.beginPath();
    context.arc(points[chosen * 2] ?? 0, points[chosen * 2 + 1] ?? 0, RADIUS + 4, 0, 2 * Math.PI);
    context.lineWidth = 2.5 / view.scale;
    context.strokeStyle = colours.accent;
    context.stroke();
  }
}

/** A state has a shape as well as a colour: ready a disc, cordoned a square, draining a triangle, lost a cross. */
function shape(context: CanvasRenderingContext2D, state: string, x: number, y: number, radius: number, small: boolean) {
  if (small || state === "cordoned") {
    context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
  } else if (state === "draining") {
    context.moveTo(x, y - radius);
    context.lineTo(x + radius, y + radius);
    context.lineTo(x - radius, y + radius);
    context.closePath();
  } else if (state === "lost") {
    const bar = radius * 0.4;
    context.rect(x - radius, y - bar, 2 * radius, 2 * bar);
    context.rect(x - bar, y - radius, 2 * bar, 2 * radius);
  } else {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 2 * Math.PI);
  }
}
