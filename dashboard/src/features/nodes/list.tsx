// All nodes, how full they are and how they do.

import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import type { Node } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { FilterField } from "../../ui/field";
import { bytes, bytesOf, cores, coresOf, counted } from "../../ui/format";
import { PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { placeOf, stateOf } from "./node";

const share = (used: number | null, total: number | null) => (used !== null && total ? used / total : 0);

function Share({ label, used, total, text }: { label: string; used: number | null; total: number | null; text: string }) {
  const part = share(used, total) * 100;
  return (
    <span className="flex items-center gap-2" title={text}>
      <svg viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={`${label}: ${text}`} className="h-1.5 w-20 rounded-full bg-raised">
        <rect width={part} height="4" className={part > 95 ? "fill-bad" : part > 80 ? "fill-warn" : "fill-fill"} />
      </svg>
      <span className="whitespace-nowrap">{Math.round(part)} %</span>
    </span>
  );
}

const COLUMNS: readonly Column<Node>[] = [
  {
    name: "Name",
    value: (row) => row.name,
    cell: (row) => (
      <Link to="/nodes/$id" params={{ id: row.id }} className="font-medium hover:underline">
        {row.name}
      </Link>
    ),
  },
  { name: "State", value: stateOf, cell: (row) => <Status state={stateOf(row)} /> },
  { name: "Place", value: placeOf, cell: placeOf },
  { name: "Instances", value: (row) => row.instances, cell: (row) => row.instances, right: true },
  {
    name: "CPU",
    value: (row) => share(coresOf(row.requested.cpu), coresOf(row.capacity.cpu)),
    cell: (row) => <Share label="CPU" used={coresOf(row.requested.cpu)} total={coresOf(row.capacity.cpu)} text={`${cores(coresOf(row.requested.cpu))} of ${cores(coresOf(row.capacity.cpu))}`} />,
  },
  {
    name: "Memory",
    value: (row) => share(bytesOf(row.requested.memory), bytesOf(row.capacity.memory)),
    cell: (row) => <Share label="Memory" used={bytesOf(row.requested.memory)} total={bytesOf(row.capacity.memory)} text={`${bytes(bytesOf(row.requested.memory))} of ${bytes(bytesOf(row.capacity.memory))}`} />,
  },
  { name: "Roles", cell: (row) => <span className="text-dim">{row.roles.join(", ")}</span>, wideOnly: true },
  { name: "Version", value: (row) => row.version, cell: (row) => row.version, wideOnly: true },
];

export function NodeList() {
  const { q, sort } = useSearch({ from: "/nodes" });
  const navigate = useNavigate({ from: "/nodes" });
  const nodes = usePicture((picture) => picture.nodes);
  const known = useKnown();
  const rows = useMemo(
    () => [...nodes.values()].filter((row) => matches(q ?? "", row.name, placeOf(row), stateOf(row), row.roles.join(" "), JSON.stringify(row.labels ?? {}))),
    [nodes, q],
  );
  return (
    <>
      <PageHead title="Nodes" about={known ? counted(nodes.size, "node") : null} />
      <div className="mb-3">
        <FilterField label="Filter nodes" value={q ?? ""} onChange={(text) => void navigate({ search: (before) => ({ ...before, q: text || undefined }), replace: true })} />
      </div>
      <Panel flush>
        {known ? (
          <Table
            label="Nodes"
            rows={rows}
            columns={COLUMNS}
            id={(row) => row.id}
            initial={{ column: "Name", down: false }}
            sort={sort}
            onSort={(sort) => void navigate({ search: (before) => ({ ...before, sort }), replace: true })}
            onOpen={(row) => void navigate({ to: "/nodes/$id", params: { id: row.id } })}
            empty={<Empty icon="search" title="No node fits the filter">{counted(nodes.size, "node")} in all.</Empty>}
          />
        ) : (
          <Loading what="Loading nodes" />
        )}
      </Panel>
      <div className="mt-3">
        <Command line={command("node", "ls")} />
      </div>
    </>
  );
}
