// The last events as lines, newest first, as they come.

import { Link } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";

import { useQuery } from "@tanstack/react-query";
import type { ClusterEvent } from "../../api/client";
import { eventsQuery } from "../../api/queries";
import { usePicture } from "../../live/use-live";
import { Failed, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { Ago } from "../../ui/time";
import { visible } from "../../ui/visible";
import { merged } from "./merge";

interface Told {
  readonly events: readonly ClusterEvent[];
  /** What stands in place of events while there are none to show, and why; nothing when there simply are none. */
  readonly instead: ReactNode;
}

/** What happened before the page was opened, and what happens since. */
export function useEvents(): Told {
  const live = usePicture((picture) => picture.events);
  const { data, error, isPending, refetch } = useQuery(eventsQuery);
  const events = useMemo(() => merged(data ?? [], live), [data, live]);
  const instead = data ? null : error ? <Failed error={error} retry={() => void refetch()} /> : isPending ? <Loading what="Loading events" /> : null;
  return { events, instead };
}

export function EventLines({ most, only }: { most: number; only?: (event: ClusterEvent) => boolean }) {
  const { events, instead } = useEvents();
  const lines = useMemo(() => {
    const found = only ? events.filter(only) : events;
    return found.slice(-most).toReversed();
  }, [events, most, only]);
  if (lines.length === 0) return instead ?? <p className="p-3.5 text-dim">Nothing has happened yet.</p>;
  return (
    <ul className="divide-y divide-line/70">
      {lines.map((event) => (
        <li key={`${event.revision} ${event.message}`} className="grid grid-cols-[6rem_5.75rem_minmax(0,1fr)] items-baseline gap-2 px-3.5 py-1.5">
          <span className="text-dim">
            <Ago at={event.at} />
          </span>
          <span>
            <Status state={event.severity} />
          </span>
          <span className="min-w-0 break-words">
            {event.workload ? (
              <>
                <Link to="/workloads/$name" params={{ name: event.workload }} className="font-medium hover:underline">
                  {event.workload}
                </Link>
                {": "}
              </>
            ) : null}
            {visible(event.message)}
          </span>
        </li>
      ))}
    </ul>
  );
}
