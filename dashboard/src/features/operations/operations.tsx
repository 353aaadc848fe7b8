// Long changes: their steps as they go, and the way to stop one.

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import { useCan } from "../../api/caller";
import { api, type Operation, taken } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { FilterField } from "../../ui/field";
import { counted } from "../../ui/format";
import { Facts, PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { WriteDialog } from "../writes/write-dialog";

function Progress({ value, label }: { value: number; label: string }) {
  return (
    <span className="flex items-center gap-2">
      <progress max={100} value={value} aria-label={label} className="h-1.5 w-24 accent-fill" />
      {value} %
    </span>
  );
}

const COLUMNS: readonly Column<Operation>[] = [
  { name: "Kind", value: (row) => row.kind, cell: (row) => <span className="font-medium">{row.kind.replaceAll("_", " ")}</span> },
  { name: "About", value: (row) => row.subject, cell: (row) => row.subject },
  { name: "Status", value: (row) => row.status, cell: (row) => <Status state={row.status} tone={row.status === "running" ? "info" : undefined} /> },
  { name: "Stage", value: (row) => row.stage, cell: (row) => row.stage },
  { name: "Progress", value: (row) => row.progress, cell: (row) => <Progress value={row.progress} label={`Progress of ${row.id}`} /> },
  { name: "Begun", value: (row) => row.created_at, cell: (row) => <Ago at={row.created_at} />, right: true },
];

export function Operations() {
  const { id, q, sort } = useSearch({ from: "/operations" });
  const navigate = useNavigate({ from: "/operations" });
  const map = usePicture((picture) => picture.operations);
  const known = useKnown();
  const rows = useMemo(() => [...map.values()].filter((row) => matches(q ?? "", row.kind.replaceAll("_", " "), row.subject, row.status, row.stage, row.id)), [map, q]);
  const chosen = id ? map.get(id) : undefined;
  return (
    <>
      <PageHead title="Operations" about="Long changes: drains, removals and the like. Each goes on after a crash of whoever carries it out." />
      <div className="mb-3">
        <FilterField label="Filter operations" value={q ?? ""} onChange={(text) => void navigate({ search: (before) => ({ ...before, q: text || undefined }), replace: true })} />
      </div>
      <div className={`grid items-start gap-4 ${id ? "xl:grid-cols-[minmax(0,1fr)_26rem]" : ""}`}>
        <Panel flush>
          {known ? (
            <Table
              label="Operations"
              rows={rows}
              columns={COLUMNS}
              id={(row) => row.id}
              initial={{ column: "Begun", down: true }}
              sort={sort}
              onSort={(sort) => void navigate({ search: (before) => ({ ...before, sort }), replace: true })}
              onOpen={(row) => void navigate({ search: (before) => ({ ...before, id: row.id }) })}
              empty={
                map.size === 0 ? (
                  <Empty icon="operations" title="No operations yet">Draining a node is one, for example.</Empty>
                ) : (
                  <Empty icon="search" title="No operation fits the filter">{counted(map.size, "operation")} in all.</Empty>
                )
              }
            />
          ) : (
            <Loading what="Loading operations" />
          )}
        </Panel>
        {chosen ? (
          <Detail operation={chosen} />
        ) : id && known ? (
          <Panel>
            <Empty icon="search" title="There is no such operation">Operations are forgotten some time after they ended.</Empty>
          </Panel>
        ) : null}
      </div>
      <div className="mt-3">
        <Command line={command("operation", "ls")} />
      </div>
    </>
  );
}

function Detail({ operation }: { operation: Operation }) {
  const [cancelling, setCancelling] = useState(false);
  const can = useCan();
  const reason = can("operation_write") ?? (operation.status === "running" ? null : "it has ended") ?? null;
  const asked = operation.cancel_requested ? "it is being cancelled" : null;
  return (
    <Panel title={operation.id} aside={<Button small reason={reason ?? asked} onClick={() => setCancelling(true)}>Cancel it</Button>}>
      <div className="grid gap-3">
        <Facts
          items={[
            ["Status", <Status key="s" state={operation.status} tone={operation.status === "running" ? "info" : undefined} />],
            ["About", operation.subject],
            ["Last change", <Ago key="a" at={operation.updated_at} />],
            ...(operation.error ? [["Cause", operation.error] as const] : []),
          ]}
        />
        <ol className="grid gap-1.5">
          {operation.steps.map((step) => (
            <li key={step.name} className="flex flex-wrap items-center gap-2">
              <Status state={step.status} />
              <span>{step.name.replaceAll("_", " ")}</span>
              {(step.attempts ?? 0) > 1 ? <span className="text-dim">attempt {step.attempts}</span> : null}
              {step.error ? <span className="text-bad">{step.error}</span> : null}
            </li>
          ))}
        </ol>
        <Command line={command("operation", "watch", operation.id)} />
      </div>
      {cancelling ? (
        <WriteDialog
          title={`Cancel ${operation.id}`}
          verb="Cancel the operation"
          line={command("operation", "cancel", operation.id)}
          write={(dry_run) => taken(api.POST("/api/operations/{operation}/cancel", { params: { path: { operation: operation.id }, query: { dry_run } } }))}
          onClose={() => setCancelling(false)}
        />
      ) : null}
    </Panel>
  );
}
