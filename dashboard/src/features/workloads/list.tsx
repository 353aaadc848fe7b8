// All workloads, live.

import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import type { Workload } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { buttonClass } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { FilterField } from "../../ui/field";
import { counted } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { imagesOf } from "./spec";

const COLUMNS: readonly Column<Workload>[] = [
  {
    name: "Name",
    value: (row) => row.name,
    cell: (row) => (
      <Link to="/workloads/$name" params={{ name: row.name }} className="font-medium hover:underline">
        {row.name}
      </Link>
    ),
  },
  { name: "Status", value: (row) => row.status, cell: (row) => <Status state={row.status} /> },
  { name: "Ready", value: (row) => row.ready, right: true, cell: (row) => `${row.ready} of ${row.replicas}` },
  { name: "Kind", value: (row) => row.spec.kind, cell: (row) => row.spec.kind ?? "service", wideOnly: true },
  { name: "Image", value: (row) => imagesOf(row.spec).join(" "), cell: (row) => <span className="font-mono text-[0.86rem]">{imagesOf(row.spec).join(", ")}</span> },
  { name: "Version", value: (row) => row.version, right: true, cell: (row) => row.version, wideOnly: true },
  { name: "Changed", value: (row) => Date.parse(row.updated_at), right: true, cell: (row) => <Ago at={row.updated_at} />, wideOnly: true },
];

export function WorkloadList() {
  const { q, status, sort } = useSearch({ from: "/workloads" });
  const navigate = useNavigate({ from: "/workloads" });
  const workloads = usePicture((picture) => picture.workloads);
  const known = useKnown();
  const states = useMemo(() => {
    const counts = new Map<string, number>();
    for (const { status } of workloads.values()) counts.set(status, (counts.get(status) ?? 0) + 1);
    return [...counts].toSorted(([a], [b]) => a.localeCompare(b));
  }, [workloads]);
  const rows = useMemo(
    () => [...workloads.values()].filter((row) => (!status || row.status === status) && matches(q ?? "", row.name, row.status, ...imagesOf(row.spec), JSON.stringify(row.spec.labels ?? {}))),
    [workloads, q, status],
  );
  return (
    <>
      <PageHead
        title="Workloads"
        about={known ? counted(workloads.size, "workload") : null}
        actions={
          <Link to="/deploy" className={buttonClass("main")}>
            <Icon name="deploy" /> Deploy
          </Link>
        }
      />
      <div className="mb-3 flex flex-wrap items-center gap-2">
        <FilterField label="Filter workloads" value={q ?? ""} onChange={(text) => void navigate({ search: (before) => ({ ...before, q: text || undefined }), replace: true })} />
        <div role="group" aria-label="Only with this status" className="flex flex-wrap gap-1">
          {states.map(([state, count]) => (
            <button
              key={state}
              type="button"
              aria-pressed={status === state}
              className="rounded-full border border-transparent p-0.5 aria-pressed:border-accent"
              onClick={() => void navigate({ search: (before) => ({ ...before, status: status === state ? undefined : state }) })}
            >
              <Status state={state} label={`${state} ${count}`} />
            </button>
          ))}
        </div>
      </div>
      <Panel flush>
        {!known ? (
          <Loading what="Loading workloads" />
        ) : (
          <Table
            label="Workloads"
            rows={rows}
            columns={COLUMNS}
            id={(row) => row.id}
            initial={{ column: "Name", down: false }}
            sort={sort}
            onSort={(sort) => void navigate({ search: (before) => ({ ...before, sort }), replace: true })}
            onOpen={(row) => void navigate({ to: "/workloads/$name", params: { name: row.name } })}
            empty={
              workloads.size === 0 ? (
                <Empty icon="workloads" title="No workloads yet">
                  <p className="mb-3">Deploy the first one by the form, or on the command line:</p>
                  <Command line="univrs run univrs/orchestrator:dev --name canary --replicas 2" />
                </Empty>
              ) : (
                <Empty icon="search" title="No workload fits the filter">
                  {counted(workloads.size, "workload")} in all.
                </Empty>
              )
            }
          />
        )}
      </Panel>
      <div className="mt-3">
        <Command line={command("workload", "ls")} />
      </div>
    </>
  );
}
