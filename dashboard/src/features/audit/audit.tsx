// Who did what: one entry for each write.

import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import { callerName } from "../../api/caller";
import type { Audit } from "../../api/client";
import { auditQuery } from "../../api/queries";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { FilterField } from "../../ui/field";
import { counted } from "../../ui/format";
import { PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty, Failed, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";

const COLUMNS: readonly Column<Audit>[] = [
  { name: "Time", value: (row) => row.at, cell: (row) => <Ago at={row.at} /> },
  { name: "Who", value: (row) => callerName(row.caller.principal), cell: (row) => callerName(row.caller.principal) },
  { name: "Action", value: (row) => row.action, cell: (row) => row.action.replaceAll("_", " ") },
  { name: "Object", value: (row) => row.object, cell: (row) => row.object },
  { name: "What", cell: (row) => <span title={row.reason ? `${row.summary}: ${row.reason}` : row.summary}>{row.summary}{row.reason ? `: ${row.reason}` : ""}</span> },
  { name: "Result", value: (row) => row.result, cell: (row) => <Status state={row.result ?? "done"} /> },
  { name: "Rule", value: (row) => row.allowed_by, cell: (row) => row.allowed_by, wideOnly: true },
  { name: "Request", cell: (row) => <span className="font-mono text-[0.86rem]">{row.request ?? ""}</span>, wideOnly: true },
];

export function AuditLog() {
  const { q, sort } = useSearch({ from: "/audit" });
  const navigate = useNavigate({ from: "/audit" });
  const { data, error, isPending, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(auditQuery);
  const all = useMemo(() => data?.pages.flatMap((page) => page.items) ?? [], [data]);
  const rows = useMemo(() => all.filter((row) => matches(q ?? "", row.action.replaceAll("_", " "), row.object, row.summary, callerName(row.caller.principal), row.request)), [all, q]);
  return (
    <>
      <PageHead title="Audit" about="One entry for each write: who, what, and the rule that allowed it." actions={<Button onClick={() => void refetch()}>Load anew</Button>} />
      <div className="mb-3">
        <FilterField label="Filter entries" value={q ?? ""} onChange={(text) => void navigate({ search: (before) => ({ ...before, q: text || undefined }), replace: true })} />
      </div>
      {isPending ? <Loading what="Loading the audit log" /> : null}
      {error && !data ? <Failed error={error} retry={() => void refetch()} /> : null}
      {data ? (
        <Panel flush>
          <Table
            label="Audit entries"
            rows={rows}
            columns={COLUMNS}
            id={(row) => `${row.revision} ${row.request ?? ""} ${row.object} ${row.summary}`}
            initial={{ column: "Time", down: true }}
            sort={sort}
            onSort={(sort) => void navigate({ search: (before) => ({ ...before, sort }), replace: true })}
            empty={<Empty icon="audit" title={all.length === 0 ? "Nothing was written yet" : "No entry fits the filter"}>{counted(all.length, "entry", "entries")} in all.</Empty>}
          />
          {hasNextPage ? (
            <div className="border-t border-line p-2 text-center">
              <Button small reason={isFetchingNextPage ? "they are being loaded" : null} onClick={() => void fetchNextPage()}>
                Load more
              </Button>
            </div>
          ) : null}
        </Panel>
      ) : null}
      <div className="mt-3">
        <Command line={command("audit", "ls")} />
      </div>
    </>
  );
}
