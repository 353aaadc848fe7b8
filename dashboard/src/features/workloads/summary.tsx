// What a workload is and how its instances do.

import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";

import type { Instance, Workload } from "../../api/client";
import { usePicture } from "../../live/use-live";
import { Code, Facts, Panel } from "../../ui/page";
import { Empty } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { visible } from "../../ui/visible";
import { Rollout } from "./rollout";
import { imagesOf, instancesOf } from "./spec";

const COLUMNS: readonly Column<Instance>[] = [
  { name: "Instance", value: (row) => row.id, cell: (row) => <span className="font-mono text-[0.86rem]">{row.id}</span> },
  { name: "Phase", value: (row) => row.phase, cell: (row) => <span className="inline-flex gap-1"><Status state={row.phase} />{row.reachable ? null : <Status state="unreachable" />}</span> },
  { name: "Health", value: (row) => row.health, cell: (row) => (row.health === "none" ? <span className="text-dim">no check</span> : <Status state={row.health} />) },
  {
    name: "Node",
    value: (row) => row.node_name,
    cell: (row) =>
      row.node ? (
        <Link to="/nodes/$id" params={{ id: row.node }} className="hover:underline">
          {row.node_name ?? row.node}
        </Link>
      ) : (
        <span className="text-dim">none yet</span>
      ),
  },
  { name: "Address", value: (row) => row.address, cell: (row) => <span className="font-mono text-[0.86rem]">{row.address ?? ""}</span>, wideOnly: true },
  { name: "Version", value: (row) => row.workload_revision, cell: (row) => row.workload_revision, right: true },
  { name: "Restarts", value: (row) => row.restarts, cell: (row) => row.restarts, right: true },
  { name: "Started", value: (row) => row.started_at, cell: (row) => (row.started_at ? <Ago at={row.started_at} /> : <span className="text-dim">not yet</span>), right: true },
  { name: "Says", cell: (row) => <span title={row.message} className="text-dim">{row.exit_code != null ? `exit code ${row.exit_code}. ` : ""}{visible(row.message)}</span>, wideOnly: true },
];

export function Summary({ workload }: { workload: Workload }) {
  const all = usePicture((picture) => picture.instances);
  const rows = useMemo(() => instancesOf(all, workload.name), [all, workload.name]);
  const navigate = useNavigate();
  const { spec } = workload;
  const containers = spec.containers ?? [];
  const resources = containers.map(({ name, resources }) => `${name}: ${resources?.cpu ?? "100m"} CPU, ${resources?.memory ?? "64Mi"} memory`);
  const labels = Object.entries(spec.labels ?? {});
  return (
    <div className="grid gap-4">
      <div className="grid gap-4 xl:grid-cols-2">
        <Panel title="Rollout">
          <Rollout workload={workload} />
        </Panel>
        <Panel title="What it is">
          <Facts
            items={[
              ["Image", <span key="i" className="grid justify-items-start gap-0.5">{imagesOf(spec).map((image) => <Code key={image}>{image}</Code>)}</span>],
              ["Requests", resources.length > 0 ? resources.join("; ") : "100m CPU, 64Mi memory"],
              ["Update", `${spec.update?.strategy ?? "rolling"}, ${spec.update?.auto_revert === false ? "stays when it fails" : "takes itself back when it fails"}`],
              ["Placement", [...(spec.placement?.constraints ?? []), ...(spec.placement?.spread ?? []).map((by) => `spread over ${by}`)].join("; ") || "anywhere"],
              ["Reached at", (spec.ingress ?? []).map((rule) => `${rule.host}${rule.path ?? "/"}`).join(", ") || "no outside address"],
              ["Secrets", (spec.secrets ?? []).map((use) => use.name).join(", ") || "none"],
              ["Labels", visible(labels.map(([key, value]) => `${key}=${value}`).join(", ")) || "none"],
              ["Made", <Ago key="m" at={workload.created_at} />],
            ]}
          />
        </Panel>
      </div>
      <Panel title="Instances" flush>
        <Table
          label={`Instances of ${workload.name}`}
          rows={rows}
          columns={COLUMNS}
          id={(row) => row.id}
          onOpen={(row) => void navigate({ to: "/workloads/$name", params: { name: workload.name }, search: { tab: "logs", instance: row.id } })}
          empty={<Empty title="No instances">{workload.replicas === 0 ? "It is scaled to none." : "None has been placed yet; the tab Why here? says why."}</Empty>}
        />
      </Panel>
    </div>
  );
}
