// All one-click resources, live.

import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import { useCan } from "../../api/caller";
import type { Resource } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { buttonClass } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { FilterField } from "../../ui/field";
import { bytes, bytesOf, cores, coresOf, counted } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { StatusOf } from "./progress";

const COLUMNS: readonly Column<Resource>[] = [
  {
    name: "Name",
    value: (row) => row.name,
    cell: (row) => (
      <Link to="/resources/$name" params={{ name: row.name }} className="font-medium hover:underline">
        {row.name}
      </Link>
    ),
  },
  { name: "Status", value: (row) => row.status, cell: (row) => <StatusOf resource={row} /> },
  { name: "Template", value: (row) => row.template, cell: (row) => row.template },
  { name: "Provider", value: (row) => row.provider, cell: (row) => row.provider, wideOnly: true },
  { name: "CPU", value: (row) => coresOf(row.footprint.limits.cpu), cell: (row) => cores(coresOf(row.footprint.limits.cpu)), right: true, wideOnly: true },
  { name: "Memory", value: (row) => bytesOf(row.footprint.limits.memory), cell: (row) => bytes(bytesOf(row.footprint.limits.memory)), right: true, wideOnly: true },
  { name: "Reached at", value: (row) => Object.values(row.endpoints).join(" "), cell: (row) => <span className="font-mono text-[0.86rem]">{Object.values(row.endpoints).join(", ")}</span>, wideOnly: true },
  { name: "Changed", value: (row) => Date.parse(row.updated_at), right: true, cell: (row) => <Ago at={row.updated_at} />, wideOnly: true },
];

export function ResourceList() {
  const { q, status, sort } = useSearch({ from: "/resources" });
  const navigate = useNavigate({ from: "/resources" });
  const resources = usePicture((picture) => picture.resources);
  const known = useKnown();
  const can = useCan();
  const refused = can("resource_read");
  const states = useMemo(() => {
    const counts = new Map<string, number>();
    for (const { status } of resources.values()) counts.set(status, (counts.get(status) ?? 0) + 1);
    return [...counts].toSorted(([a], [b]) => a.localeCompare(b));
  }, [resources]);
  const rows = useMemo(
    () => [...resources.values()].filter((row) => (!status || row.status === status) && matches(q ?? "", row.name, row.status, row.template, row.provider)),
    [resources, q, status],
  );
  return (
    <>
      <PageHead
        title="Resources"
        about={known ? counted(resources.size, "resource") : null}
        actions={
          <Link to="/catalogue" className={buttonClass("main")}>
            <Icon name="resources" /> New resource
          </Link>
        }
      />
      <div className="mb-3 flex flex-wrap items-center gap-2">
        <FilterField label="Filter resources" value={q ?? ""} onChange={(text) => void navigate({ search: (before) => ({ ...before, q: text || undefined }), replace: true })} />
        <div role="group" aria-label="Only with this status" className="flex flex-wrap gap-1">
          {states.map(([state, count]) => (
            <button
              key={state}
              type="button"
              aria-pressed={status === state}
              className="rounded-full border border-transparent p-0.5 aria-pressed:border-accent"
              onClick={() => void navigate({ search: (before) => ({ ...before, status: status === state ? undefined : state }) })}
            >
              <Status state={state} label={`${state.toLowerCase()} ${count}`} />
            </button>
          ))}
        </div>
      </div>
      <Panel flush>
        {!known ? (
          <Loading what="Loading resources" />
        ) : (
          <Table
            label="Resources"
            rows={rows}
            columns={COLUMNS}
            id={(row) => row.id}
            initial={{ column: "Name", down: false }}
            sort={sort}
            onSort={(sort) => void navigate({ search: (before) => ({ ...before, sort }), replace: true })}
            onOpen={(row) => void navigate({ to: "/resources/$name", params: { name: row.name } })}
            empty={
              refused ? (
                <Empty icon="secrets" title="You may not see this">
                  {refused}. Sign in with a token that may, or ask who runs the cluster for one.
                </Empty>
              ) : resources.size === 0 ? (
                <Empty icon="resources" title="No resources yet">
                  <p className="mb-3">
                    Databases, storage and the like, made from a template: see the <Link to="/catalogue">catalogue</Link>, or on the command line:
                  </p>
                  <Command line="univrs resource create --template postgres-small --name maindb" />
                </Empty>
              ) : (
                <Empty icon="search" title="No resource fits the filter">
                  {counted(resources.size, "resource")} in all.
                </Empty>
              )
            }
          />
        )}
      </Panel>
      <div className="mt-3">
        <Command line={command("resource", "ls")} />
      </div>
    </>
  );
}
