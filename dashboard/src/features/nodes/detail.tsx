// One node: what it has, what runs on it, and taking it out of service.

import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import { useCan } from "../../api/caller";
import { api, type Instance, type Node, taken } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { bytes, bytesOf, cores, coresOf } from "../../ui/format";
import { Meter } from "../../ui/meter";
import { Code, Facts, PageHead, Panel } from "../../ui/page";
import { Empty, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { type Column, Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { EventLines } from "../events/event-lines";
import { WriteDialog } from "../writes/write-dialog";
import { LabelsDialog } from "./labels";
import { placeOf, stateOf } from "./node";

const COLUMNS: readonly Column<Instance>[] = [
  {
    name: "Workload",
    value: (row) => row.workload,
    cell: (row) => (
      <Link to="/workloads/$name" params={{ name: row.workload }} className="font-medium hover:underline">
        {row.workload}
      </Link>
    ),
  },
  { name: "Instance", value: (row) => row.id, cell: (row) => <span className="font-mono text-[0.86rem]">{row.id}</span>, wideOnly: true },
  { name: "Phase", value: (row) => row.phase, cell: (row) => <Status state={row.reachable ? row.phase : "unreachable"} /> },
  { name: "Address", value: (row) => row.address, cell: (row) => <span className="font-mono text-[0.86rem]">{row.address}</span>, wideOnly: true },
  { name: "Restarts", value: (row) => row.restarts, cell: (row) => row.restarts, right: true },
  { name: "Started", value: (row) => row.started_at, cell: (row) => (row.started_at ? <Ago at={row.started_at} /> : "not yet"), right: true },
];

export function NodeDetail() {
  const { id } = useParams({ from: "/nodes/$id" });
  const node = usePicture((picture) => picture.nodes.get(id));
  const known = useKnown();
  if (!known) return <Loading what="Loading the node" />;
  if (!node) {
    return (
      <>
        <PageHead title={id} />
        <Panel>
          <Empty icon="search" title="There is no such node">
            It may have been removed. <Link to="/nodes">All nodes</Link>
          </Empty>
        </Panel>
      </>
    );
  }
  return <Known node={node} />;
}

function Known({ node }: { node: Node }) {
  const all = usePicture((picture) => picture.instances);
  const rows = useMemo(() => [...all.values()].filter((one) => one.node === node.id && !["stopped", "failed", "lost"].includes(one.phase)), [all, node.id]);
  const only = useMemo(() => (event: { node?: string | null }) => event.node === node.id, [node.id]);
  const labels = Object.entries(node.labels ?? {});
  return (
    <>
      <Head node={node} />
      <div className="grid gap-4">
        <div className="grid gap-4 xl:grid-cols-2">
          <Panel title="Capacity">
            <div className="grid gap-3">
              <Meter label="CPU requested" used={coresOf(node.requested.cpu)} total={coresOf(node.capacity.cpu)} write={cores} />
              <Meter label="Memory requested" used={bytesOf(node.requested.memory)} total={bytesOf(node.capacity.memory)} write={bytes} />
              <Meter label="Disk requested" used={bytesOf(node.requested.disk)} total={bytesOf(node.capacity.disk)} write={bytes} />
              <p className="text-dim">Requests decide what fits; what is really used may be less or more.</p>
            </div>
          </Panel>
          <Panel title="What it is">
            <Facts
              items={[
                ["Place", placeOf(node)],
                ["Operator", node.location.operator],
                ["Roles", node.roles.join(", ")],
                ["Runtime", node.runtime ?? "none: it runs no containers"],
                ["API", <Code key="a">{node.api_address}</Code>],
                ["Version", node.version],
                ["Labels", labels.map(([key, value]) => `${key}=${value}`).join(", ") || "none"],
                ["Id", <Code key="i">{node.id}</Code>],
                ["Joined", <Ago key="j" at={node.created_at} />],
              ]}
            />
          </Panel>
        </div>
        <Panel title="Instances here" flush>
          <Table label={`Instances on ${node.name}`} rows={rows} columns={COLUMNS} id={(row) => row.id} initial={{ column: "Workload", down: false }} empty={<Empty title="Nothing runs here" />} />
        </Panel>
        <Panel title="Events" flush>
          <EventLines most={30} only={only} />
        </Panel>
        <Command line={command("node", "get", node.name)} />
      </div>
    </>
  );
}

type Action = "cordon" | "uncordon" | "drain" | "remove" | "labels";

function Head({ node }: { node: Node }) {
  const [open, setOpen] = useState<Action | null>(null);
  const can = useCan();
  const navigate = useNavigate();
  const reason = can("node_write");
  const { name, id } = node;
  const close = () => setOpen(null);
  const at = (dry_run: boolean) => ({ path: { node: id }, query: { dry_run } });
  const closed = node.cordoned || node.draining;
  return (
    <>
      <PageHead
        title={name}
        about={placeOf(node)}
        badge={<Status state={stateOf(node)} />}
        actions={
          <>
            <Button reason={reason} onClick={() => setOpen("labels")}>
              Labels
            </Button>
            <Button reason={reason} onClick={() => setOpen(closed ? "uncordon" : "cordon")}>
              {closed ? "Uncordon" : "Cordon"}
            </Button>
            <Button reason={reason ?? (node.draining ? "it is draining" : null)} onClick={() => setOpen("drain")}>
              Drain
            </Button>
            <Button reason={reason ?? (node.state === "lost" ? null : "only a node that is lost can be removed")} onClick={() => setOpen("remove")}>
              Remove
            </Button>
          </>
        }
      />
      {open === "labels" ? <LabelsDialog node={node} onClose={close} /> : null}
      {open === "cordon" || open === "uncordon" ? (
        <WriteDialog
          title={open === "cordon" ? `Cordon ${name}` : `Uncordon ${name}`}
          verb={open === "cordon" ? "Cordon" : "Uncordon"}
          note={<p>{open === "cordon" ? "What runs there stays; nothing new is placed there." : "New instances may be placed there again."}</p>}
          line={command("node", open, name)}
          write={(dry) =>
            open === "cordon"
              ? taken(api.POST("/api/nodes/{node}/cordon", { params: at(dry) }))
              : taken(api.POST("/api/nodes/{node}/uncordon", { params: at(dry) }))
          }
          onClose={close}
        />
      ) : null}
      {open === "drain" ? (
        <WriteDialog
          title={`Drain ${name}`}
          verb="Drain"
          confirm={name}
          note={<p>Everything that runs there is started elsewhere first, then stopped here. It can be followed under Operations.</p>}
          line={command("node", "drain", name)}
          write={(dry) => taken(api.POST("/api/nodes/{node}/drain", { params: at(dry) }))}
          onClose={close}
          onDone={() => void navigate({ to: "/operations" })}
        />
      ) : null}
      {open === "remove" ? (
        <WriteDialog
          title={`Remove ${name}`}
          verb="Remove"
          confirm={name}
          line={command("node", "rm", name)}
          write={(dry) => taken(api.DELETE("/api/nodes/{node}", { params: at(dry) }))}
          onClose={close}
          onDone={() => void navigate({ to: "/nodes" })}
        />
      ) : null}
    </>
  );
}
