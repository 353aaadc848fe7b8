// Whether what is shown is current, and since when it may not be.

import { feed } from "../live/feed";
import { useLive } from "../live/use-live";
import { Status } from "../ui/status";
import { Ago } from "../ui/time";

/** Why views that show the live picture still wait for it, when the socket cannot be opened at all. */
export function NoPicture() {
  const failing = useLive((live) => live.status === "stale" && live.since === null && live.picture.revision === 0);
  if (!failing) return null;
  return (
    <p role="alert" className="tone-warn mb-3 rounded-md px-3 py-2">
      <b>The picture of the cluster cannot be loaded:</b> the server answers, but its socket (/ws/orchestrator) does not open. The page tries again by itself. A
      proxy in between has to let WebSockets pass.
    </p>
  );
}

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
