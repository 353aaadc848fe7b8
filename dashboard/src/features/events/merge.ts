// The history that the server keeps and the events that came since, as one list without doubles, oldest first.

import type { ClusterEvent } from "../../api/client";

const name = (event: ClusterEvent) => `${event.revision} ${event.kind} ${event.instance ?? ""} ${event.message}`;

export function merged(history: readonly ClusterEvent[], live: readonly ClusterEvent[]): readonly ClusterEvent[] {
  if (live.length === 0) return history;
  const first = live[0];
  // Only what overlaps has to be compared.
  const overlap = history.length > 0 && first ? history.findLastIndex((event) => event.revision < first.revision) + 1 : 0;
  const known = new Set(history.slice(overlap).map(name));
  return [...history, ...live.filter((event) => !known.has(name(event)))];
}
