// What views read out of a node.

import type { Node } from "../../api/client";

/** One word for how a node does: what matters most to who looks for a place to run. */
export function stateOf(node: Node): string {
  if (node.state === "lost") return "lost";
  if (node.draining) return "draining";
  if (node.cordoned) return "cordoned";
  return "ready";
}

export function placeOf({ location }: Node): string {
  return [location.cloud, location.region, location.zone].filter(Boolean).join(" / ");
}

/** The patch from the labels that are to the labels that are wanted: null takes one away. */
export function labelPatch(before: Record<string, string>, after: Record<string, string>): Record<string, string | null> {
  const gone = Object.keys(before).filter((key) => !(key in after));
  const set = Object.entries(after).filter(([key, value]) => before[key] !== value);
  return { ...Object.fromEntries(gone.map((key) => [key, null])), ...Object.fromEntries(set) };
}
