// Everything that happened, as it happens: filtered, held still to be read, and looked into.

import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import type { ClusterEvent } from "../../api/client";
import { usePicture } from "../../live/use-live";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { CONTROL, FilterField } from "../../ui/field";
import { counted, exact } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Facts, PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { visible } from "../../ui/visible";
import { NodeName } from "../nodes/node-name";
import { useEvents } from "./event-lines";

type Numbered = ClusterEvent & { key: string };

const COLUMNS: readonly Column<Numbered>[] = [
  { name: "Time", value: (row) => Date.parse(row.at), cell: (row) => <Ago at={row.at} /> },
  { name: "Severity", value: (row) => row.severity, cell: (row) => <Status state={row.severity} /> },
  { name: "Kind", value: (row) => row.kind, cell: (row) => row.kind.replaceAll("_", " ") },
  {
    name: "About",
    value: (row) => row.workload ?? row.node,
    cell: (row) =>
      row.workload ? (
        <Link to="/workloads/$name" params={{ name: row.workload }} className="hover:underline">
          {row.workload}
        </Link>
      ) : (
        row.node && <NodeName id={row.node} />
      ),
  },
  { name: "Message", cell: (row) => <span title={visible(row.message)}>{visible(row.message)}</span> },
];

export function Events() {
  const { q, severity, at, sort } = useSearch({ from: "/events" });
  const navigate = useNavigate({ from: "/events" });
  const { events: current, instead } = useEvents();
  const heard = usePicture((picture) => picture.heard);
  const [held, setHeld] = useState<{ events: readonly ClusterEvent[]; heard: number } | null>(null);
  const events = held?.events ?? current;
  const rows = useMemo(() => {
    const found: Numbered[] = [];
    for (const [index, event] of events.entries()) {
      if (severity && event.severity !== severity) continue;
      if (!matches(q ?? "", event.message, event.kind.replaceAll("_", " "), event.workload, event.node, event.instance)) continue;
      found.push({ ...event, key: `${event.revision}-${index}` });
    }
    return found.reverse();
  }, [events, q, severity]);
  const chosen = rows.find((row) => row.key === at);
  const set = (next: { q?: string; severity?: string; at?: string; sort?: string }) => void navigate({ search: (before) => ({ ...before, ...next }), replace: true });
  return (
    <>
      <PageHead title="Events" about={counted(events.length, "event")} />
      <div className="mb-3 flex flex-wrap items-center gap-2">
        <FilterField label="Filter events" value={q ?? ""} onChange={(text) => set({ q: text || undefined })} />
        <select aria-label="Severity" className={`${CONTROL} w-auto!`} value={severity ?? ""} onChange={(event) => set({ severity: event.target.value || undefined })}>
          <option value="">all severities</option>
          <option value="error">errors</option>
          <option value="warning">warnings</option>
          <option value="info">information</option>
        </select>
        <Button aria-pressed={held !== null} className="aria-pressed:border-accent" onClick={() => setHeld(held ? null : { events: current, heard })}>
          <Icon name={held ? "play" : "pause"} /> {held ? "Go on" : "Pause"}
        </Button>
        {held ? <span role="status" className="text-dim">Held still; {counted(heard - held.heard, "new event")} since.</span> : null}
      </div>
      <div className={`grid items-start gap-4 ${chosen ? "xl:grid-cols-[minmax(0,1fr)_24rem]" : ""}`}>
        <Panel flush>
          <Table
            label="Events"
            rows={rows}
            columns={COLUMNS}
            id={(row) => row.key}
            sort={sort}
            onSort={(sort) => set({ sort })}
            onOpen={(row) => set({ at: row.key })}
            empty={(events.length === 0 ? instead : null) ?? <Empty icon="events" title={events.length === 0 ? "Nothing has happened yet" : "No event fits the filter"} />}
          />
        </Panel>
        {chosen ? (
          <Panel title="Event" aside={<Button small onClick={() => set({ at: undefined })}>Close</Button>}>
            <Facts
              items={[
                ["Time", exact(Date.parse(chosen.at))],
                ["Kind", chosen.kind],
                ["Severity", <Status key="s" state={chosen.severity} />],
                ["Workload", chosen.workload ?? "none"],
                ["Instance", chosen.instance ?? "none"],
                ["Node", chosen.node ? <NodeName key="n" id={chosen.node} /> : "none"],
                ["Revision", String(chosen.revision)],
                ["Message", visible(chosen.message)],
              ]}
            />
          </Panel>
        ) : null}
      </div>
      <div className="mt-3">
        <Command line={command("events", "-f")} />
      </div>
    </>
  );
}
