// What waits for a place, what was decided last, and why.

import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import type { Instance } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { CONTROL } from "../../ui/field";
import { PageHead, Panel } from "../../ui/page";
import { Empty, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { EventLines } from "../events/event-lines";
import { Why } from "../workloads/why";

const DECISIONS = new Set(["instance_placed", "instance_unplaceable", "instance_preempted", "instance_lost"]);
const decided = (event: { kind: string }) => DECISIONS.has(event.kind);

const COLUMNS: readonly Column<Instance>[] = [
  {
    name: "Workload",
    value: (row) => row.workload,
    cell: (row) => (
      <Link to="/scheduler" search={{ workload: row.workload }} className="font-medium hover:underline">
        {row.workload}
      </Link>
    ),
  },
  { name: "Instance", value: (row) => row.id, cell: (row) => <span className="font-mono text-[0.86rem]">{row.id}</span> },
  { name: "Phase", value: (row) => row.phase, cell: (row) => <Status state={row.phase} /> },
  { name: "Waits", value: (row) => row.created_at, cell: (row) => <Ago at={row.created_at} /> },
  { name: "Reason", cell: (row) => <span title={row.message}>{row.message}</span> },
];

export function Scheduler() {
  const { workload } = useSearch({ from: "/scheduler" });
  const navigate = useNavigate({ from: "/scheduler" });
  const instances = usePicture((picture) => picture.instances);
  const workloads = usePicture((picture) => picture.workloads);
  const known = useKnown();
  const queue = useMemo(() => [...instances.values()].filter((one) => one.phase === "pending"), [instances]);
  const short = useMemo(() => [...workloads.values()].filter((one) => one.status === "pending" || (one.status === "degraded" && one.instances < one.replicas)), [workloads]);
  const names = useMemo(() => [...workloads.keys()].toSorted(), [workloads]);
  const chosen = workload ?? short[0]?.name ?? names[0];
  return (
    <>
      <PageHead title="Scheduler" about="What waits for a place, what was decided last, and why." />
      <div className="grid gap-4">
        <Panel title="Waiting for a place" flush>
          <Table
            label="Instances that wait"
            rows={queue}
            columns={COLUMNS}
            id={(row) => row.id}
            empty={
              !known ? (
                <Loading what="Loading what waits" />
              ) : short.length === 0 ? (
                <p className="p-3.5 text-dim">Nothing waits: every instance that is wanted has a place.</p>
              ) : (
                <ul className="divide-y divide-line">
                  {short.map((one) => (
                    <li key={one.id} className="flex flex-wrap items-center gap-2 px-3.5 py-2">
                      <Link to="/scheduler" search={{ workload: one.name }} className="font-medium hover:underline">
                        {one.name}
                      </Link>
                      <Status state={one.status} />
                      <span>
                        {one.instances} of {one.replicas} placed
                      </span>
                      <span className="text-dim">{one.message}</span>
                    </li>
                  ))}
                </ul>
              )
            }
          />
        </Panel>
        <div>
          <div className="mb-3 flex flex-wrap items-center gap-2">
            <h2 className="font-semibold">Why is it where it is?</h2>
            {chosen ? (
              <select aria-label="Workload" className={`${CONTROL} w-auto!`} value={chosen} onChange={(event) => void navigate({ search: { workload: event.target.value } })}>
                {names.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            ) : null}
          </div>
          {chosen ? <Why key={chosen} workload={chosen} /> : <Panel>{known ? <Empty title="There are no workloads yet" /> : <Loading what="Loading workloads" />}</Panel>}
        </div>
        <Panel title="Latest decisions" flush>
          <EventLines most={40} only={decided} />
        </Panel>
      </div>
    </>
  );
}
