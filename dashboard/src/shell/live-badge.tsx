// Whether what is shown is current, and since when it may not be.

import { feed } from "../live/feed";
import { useLive } from "../live/use-live";
import { Status } from "../ui/status";
import { Ago } from "../ui/time";

export function LiveBadge() {
  const status = useLive((live) => live.status);
  const since = useLive((live) => (live.status === "live" ? null : live.since));
  return (
    <span role="status" aria-live="polite" className="flex items-center gap-2">
      {status === "live" ? (
        <Status state="live" />
      ) : status === "connecting" ? (
        <Status state="connecting" />
      ) : (
        <>
          <Status state="stale" label={status === "paused" ? "paused" : "stale"} />
          {since === null ? null : (
            <span className="text-dim max-sm:hidden">
              since <Ago at={since} />
            </span>
          )}
          <button type="button" className="rounded text-accent underline" onClick={() => feed.retry()}>
            Reconnect
          </button>
        </>
      )}
    </span>
  );
}
