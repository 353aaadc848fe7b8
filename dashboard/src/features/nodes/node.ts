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
