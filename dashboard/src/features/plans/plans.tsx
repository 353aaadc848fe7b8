// Plans that people and AI operators made, and the decision about those that need a person.

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";

import { callerName, callerQuery, isSame, useCan } from "../../api/caller";
import { api, type Plan, taken } from "../../api/client";
import { plansQuery } from "../../api/queries";
import { useNow } from "../../ui/clock";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { FilterField } from "../../ui/field";
import { Code, Facts, PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty, Failed, Loading, Outdated, Trouble } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { PlanView } from "../writes/plan-view";

/** The status as it is now: a plan expires without anybody writing it down. */
export function statusNow(plan: Plan, now: number): string {
  const open = plan.status === "ready" || plan.status === "waiting_for_approval" || plan.status === "approved";
  return open && Date.parse(plan.expires_at) < now ? "expired" : (plan.status ?? "ready");
}

/** What it is about and what is asked. */
function told(plan: Plan): string {
  const names = [...new Set(plan.changes.map((change) => `${change.kind} ${change.name}`))].join(", ");
  return plan.summary ? `${names}: ${plan.summary}` : plan.changes.map((change) => `${change.action} ${change.kind} ${change.name}`).join(", ");
}

const COLUMNS: readonly Column<Plan>[] = [
  { name: "Plan", value: (row) => row.plan_id, cell: (row) => <span className="font-mono text-[0.86rem]">{row.plan_id}</span> },
  { name: "What", cell: (row) => <span title={told(row)}>{told(row)}</span> },
  { name: "Status", value: (row) => row.status, cell: (row) => <Now plan={row} /> },
  { name: "By", value: (row) => callerName(row.planned_by), cell: (row) => callerName(row.planned_by) },
  { name: "Valid", value: (row) => row.expires_at, cell: (row) => <Ago at={row.expires_at} />, right: true },
];

function Now({ plan }: { plan: Plan }) {
  return <Status state={statusNow(plan, useNow())} />;
}

export function Plans() {
  const { id, q } = useSearch({ from: "/plans" });
  const navigate = useNavigate({ from: "/plans" });
  const plans = useQuery(plansQuery);
  const { data, error, isPending, refetch } = plans;
  const now = useNow();
  const all = data?.items ?? [];
  const items = all.filter((plan) => matches(q ?? "", plan.plan_id, plan.summary, plan.status?.replaceAll("_", " "), callerName(plan.planned_by), ...plan.changes.map((change) => change.name)));
  const waiting = items.filter((plan) => statusNow(plan, now) === "waiting_for_approval");
  const others = items.filter((plan) => statusNow(plan, now) !== "waiting_for_approval");
  const chosen = all.find((plan) => plan.plan_id === id);
  const table = (label: string, rows: Plan[], empty: string) => (
    <Panel title={label} flush>
      <Table
        label={label}
        rows={rows}
        columns={COLUMNS}
        id={(row) => row.plan_id}
        initial={{ column: "Valid", down: true }}
        onOpen={(row) => void navigate({ search: (before) => ({ ...before, id: row.plan_id }) })}
        empty={<p className="p-3.5 text-dim">{empty}</p>}
      />
    </Panel>
  );
  return (
    <>
      <PageHead title="Approvals" about="Changes that were planned. Destructive ones wait here until a person agrees; no AI operator can agree to its own." />
      <div className="mb-3">
        <FilterField label="Filter plans" value={q ?? ""} onChange={(text) => void navigate({ search: (before) => ({ ...before, q: text || undefined }), replace: true })} />
      </div>
      <Outdated of={plans} />
      {isPending ? <Loading what="Loading plans" /> : null}
      {error && !data ? <Failed error={error} retry={() => void refetch()} /> : null}
      {data ? (
        <div className={`grid items-start gap-4 ${id ? "xl:grid-cols-[minmax(0,1fr)_32rem]" : ""}`}>
          <div className="grid min-w-0 gap-4">
            {table("Waiting for a person", waiting, q ? "Nothing that waits fits the filter." : "Nothing waits.")}
            {table("Other plans", others, q ? "No other plan fits the filter." : "No other plans are kept.")}
          </div>
          {chosen ? <Decision key={chosen.plan_id} plan={chosen} /> : id ? <Panel><Empty icon="search" title="There is no such plan">Plans are forgotten some time after they expired.</Empty></Panel> : null}
        </div>
      ) : null}
      <div className="mt-3">
        <Command line={command("plan", "ls")} />
      </div>
    </>
  );
}

function Decision({ plan }: { plan: Plan }) {
  const can = useCan();
  const client = useQueryClient();
  const now = useNow();
  const status = statusNow(plan, now);
  const decide = useMutation({
    mutationFn: (verdict: "approve" | "reject" | "apply") => {
      const params = { path: { plan: plan.plan_id } };
      if (verdict === "approve") return taken(api.POST("/api/plans/{plan}/approve", { params }));
      if (verdict === "reject") return taken(api.POST("/api/plans/{plan}/reject", { params }));
      return taken(api.POST("/api/plans/{plan}/apply", { params, body: { digest: plan.digest } }));
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["plans"] }),
  });
  const busy = decide.isPending ? "it is being carried out" : null;
  const reason = can("plan_approve") ?? (status === "waiting_for_approval" ? busy : `the plan is ${status.replaceAll("_", " ")}`);
  const me = useQuery(callerQuery).data?.principal;
  const open = status === "ready" || status === "approved";
  return (
    <Panel title={plan.plan_id} aside={<Status state={status} />}>
      <div className="grid gap-3">
        <PlanView plan={plan} />
        <Facts
          items={[
            ["Planned by", callerName(plan.planned_by)],
            ["Decided by", plan.decided_by ? callerName(plan.decided_by) : "nobody yet"],
            ["Valid", <Ago key="v" at={plan.expires_at} />],
            ["Made for revision", String(plan.parent_revision)],
            ["Digest", <Code key="d">{plan.digest}</Code>],
          ]}
        />
        <Trouble error={decide.error} />
        <div className="flex flex-wrap justify-end gap-2">
          <Button reason={reason} onClick={() => decide.mutate("reject")}>
            Reject
          </Button>
          <Button look="main" reason={reason} onClick={() => decide.mutate("approve")}>
            Approve
          </Button>
          {open ? (
            <Button look="main" reason={can("workload_write") ?? busy ?? (isSame(me, plan.planned_by) ? null : "only who planned it may apply it")} onClick={() => decide.mutate("apply")}>
              Apply
            </Button>
          ) : null}
        </div>
        {status === "waiting_for_approval" ? (
          <>
            <Command line={command("plan", "approve", plan.plan_id)} />
            <Command line={command("plan", "reject", plan.plan_id)} />
          </>
        ) : (
          <Command line={command("plan", "get", plan.plan_id)} />
        )}
      </div>
    </Panel>
  );
}
