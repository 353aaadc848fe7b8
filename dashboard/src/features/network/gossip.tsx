// What members call out to all, as it comes: filtered, held still to be read, and looked into.

import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import { usePicture } from "../../live/use-live";
import { Button } from "../../ui/button";
import { CONTROL, FilterField } from "../../ui/field";
import { counted, exact } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Facts, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty } from "../../ui/states";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { visible } from "../../ui/visible";
import type { Call } from "./peers";

interface Props {
  calls: readonly Call[];
  heard: number;
  /** The name of a node, where it has one. */
  nameOf: (node: string) => string;
}

const told = (call: Call) => visible(JSON.stringify(call.body) ?? "");

export function Gossip({ calls, heard, nameOf }: Props) {
  const { q: filter = "", topic = "" } = useSearch({ from: "/network" });
  const navigate = useNavigate({ from: "/network" });
  const change = (next: { q?: string; topic?: string }) => void navigate({ search: (before) => ({ ...before, ...next }), replace: true });
  const [held, setHeld] = useState<{ calls: readonly Call[]; heard: number } | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const shown = held?.calls ?? calls;
  const topics = useMemo(() => [...new Set(shown.map((call) => call.topic))].toSorted(), [shown]);
  const rows = useMemo(
    () => shown.filter((call) => (!topic || call.topic === topic) && matches(filter, call.topic, call.author, nameOf(call.author), told(call))).toReversed(),
    [shown, topic, filter, nameOf],
  );
  const chosen = at === null ? undefined : rows.find((call) => call.id === at);
  const columns: readonly Column<Call>[] = [
    { name: "Time", value: (row) => Date.parse(row.at), cell: (row) => <Ago at={row.at} /> },
    { name: "Topic", value: (row) => row.topic, cell: (row) => row.topic },
    { name: "Author", value: (row) => nameOf(row.author), cell: (row) => nameOf(row.author) },
    { name: "Message", cell: (row) => <span className="font-mono text-[0.86rem]">{told(row).slice(0, 300)}</span> },
  ];
  return (
    <Panel title="Gossip" flush>
      <div className="flex flex-wrap items-center gap-2 border-b border-line px-3.5 py-2">
        <FilterField label="Filter messages" value={filter} onChange={(text) => change({ q: text || undefined })} />
        <select aria-label="Topic" className={`${CONTROL} w-auto!`} value={topic} onChange={(event) => change({ topic: event.target.value || undefined })}>
          <option value="">all topics</option>
          {topics.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
        <Button aria-pressed={held !== null} className="aria-pressed:border-accent" onClick={() => setHeld(held ? null : { calls, heard })}>
          <Icon name={held ? "play" : "pause"} /> {held ? "Go on" : "Pause"}
        </Button>
        <span role="status" className="text-dim">
          {held ? `Held still; ${counted(heard - held.heard, "new message")} since.` : counted(rows.length, "message")}
        </span>
      </div>
      <div className={`grid items-start ${chosen ? "xl:grid-cols-[minmax(0,1fr)_24rem]" : ""}`}>
        <Table
          label="Gossip messages"
          rows={rows}
          columns={columns}
          id={(row) => String(row.id)}
          onOpen={(row) => setAt(row.id)}
          tall="max-h-96"
          empty={<Empty icon="network" title={shown.length === 0 ? "Nothing was called out yet" : "No message fits the filter"} />}
        />
        {chosen ? <Inspect call={chosen} nameOf={nameOf} onClose={() => setAt(null)} /> : null}
      </div>
    </Panel>
  );
}

function Inspect({ call, nameOf, onClose }: { call: Call; nameOf: (node: string) => string; onClose: () => void }) {
  const isNode = usePicture((picture) => picture.nodes.has(call.author));
  return (
    <section aria-label="Message" className="grid gap-3 border-l border-line p-3.5">
      <Facts
        items={[
          ["Time", Number.isNaN(Date.parse(call.at)) ? visible(call.at) : exact(Date.parse(call.at))],
          ["Topic", call.topic],
          ["Author", isNode ? <Link key="n" to="/nodes/$id" params={{ id: call.author }} className="text-accent hover:underline">{nameOf(call.author)}</Link> : call.author],
        ]}
      />
      <pre tabIndex={0} aria-label="Body of the message" className="max-h-72 overflow-auto rounded-md border border-line bg-raised p-2 font-mono text-[0.82rem]">
        {(JSON.stringify(call.body, null, 2) ?? "").split("\n").map(visible).join("\n")}
      </pre>
      <Button small className="justify-self-end" onClick={onClose}>
        Close
      </Button>
    </section>
  );
}
