// Hooks over the feed. Each gives back the same object until what it shows has changed, so a view renders only then.

import { useSyncExternalStore } from "react";

import { feed, type Live } from "./feed";
import type { Picture } from "./state";

export function useLive<T>(select: (live: Live) => T): T {
  return useSyncExternalStore(feed.subscribe, () => select(feed.snapshot()));
}

export function usePicture<T>(select: (picture: Picture) => T): T {
  return useLive((live) => select(live.picture));
}

/** Whether the first snapshot has come. */
export function useKnown(): boolean {
  return useLive((live) => live.since !== null || live.picture.revision > 0);
}
