// The first view: what is wrong, worst first, with the next step; then how full and how busy the cluster is.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";

import type { Finding } from "../../api/client";
import { clusterQuery, problemsQuery } from "../../api/queries";
import { useKnown, usePicture } from "../../live/use-live";
import { buttonClass } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { bytes, bytesOf, cores, coresOf, counted } from "../../ui/format";
import { Icon } from "../../ui/icons";
import { Meter } from "../../ui/meter";
import { Figure, PageHead, Panel } from "../../ui/page";
import { Failed, Loading, Outdated } from "../../ui/states";
import { Status } from "../../ui/status";
import { EventLines } from "../events/event-lines";
import { Rollout } from "../workloads/rollout";
import { subjectOf } from "./subject";

export function Overview() {
  const cluster = useQuery(clusterQuery);
  const problems = useQuery(problemsQuery);
  const workloads = usePicture((picture) => picture.workloads);
  const instances = usePicture((picture) => picture.instances);
  const nodes = usePicture((picture) => picture.nodes);
  const known = useKnown();
  const counts = useMemo(() => {
    const states = [...workloads.values()].map((one) => one.status as string);
    const good = states.filter((state) => state === "running" || state === "completed").length;
    const running = [...instances.values()].filter((one) => one.phase === "running").length;
    const ready = [...nodes.values()].filter((one) => one.state === "ready").length;
    return { good, running, ready };
  }, [workloads, instances, nodes]);
  const moving = useMemo(
    () => [...workloads.values()].filter((one) => ["progressing", "reverting", "pending"].includes(one.status)).slice(0, 8),
    [workloads],
  );
  const data = cluster.data;

  return (
    <>
      <PageHead
        title="Overview"
        badge={data ? <Status state={data.health} label={`cluster ${data.health}`} /> : null}
        actions={
          <Link to="/deploy" className={buttonClass("main")}>
            <Icon name="deploy" /> Deploy
          </Link>
        }
      />
      <Outdated of={cluster.error ? cluster : problems} />
      <div className="grid gap-4">
        <Problems />
        <div className="grid gap-3 sm:grid-cols-2 xl:grid-cols-4">
          <Figure label="Workloads as wanted" value={known ? `${counts.good} of ${workloads.size}` : "…"} note={<Link to="/workloads" className="text-accent hover:underline">All workloads</Link>} />
          <Figure label="Instances running" value={known ? `${counts.running} of ${instances.size}` : "…"} note={<Link to="/scheduler" className="text-accent hover:underline">Scheduler</Link>} />
          <Figure label="Nodes ready" value={known ? `${counts.ready} of ${nodes.size}` : "…"} note={<Link to="/nodes" className="text-accent hover:underline">All nodes</Link>} />
          <div className="grid content-center gap-2 rounded-lg border border-line bg-panel px-3.5 py-3">
            <p className="text-[0.86rem] text-dim">Requested of all nodes</p>
            <Meter label="CPU" used={coresOf(data?.requested.cpu)} total={coresOf(data?.capacity.cpu)} write={cores} />
            <Meter label="Memory" used={bytesOf(data?.requested.memory)} total={bytesOf(data?.capacity.memory)} write={bytes} />
          </div>
        </div>
        <div className="grid gap-4 xl:grid-cols-2">
          <Panel title="On the move" flush>
            {!known ? (
              <Loading what="Loading rollouts" />
            ) : moving.length === 0 ? (
              <p className="p-3.5 text-dim">No rollout is under way.</p>
            ) : (
              <ul className="divide-y divide-line">
                {moving.map((workload) => (
                  <li key={workload.id} className="grid gap-1 px-3.5 py-2.5">
                    <div className="flex items-center justify-between gap-2">
                      <Link to="/workloads/$name" params={{ name: workload.name }} className="truncate font-medium hover:underline">
                        {workload.name}
                      </Link>
                      <Status state={workload.status} />
                    </div>
                    <Rollout workload={workload} />
                  </li>
                ))}
              </ul>
            )}
          </Panel>
          <Panel title="Latest events" aside={<Link to="/events" className="text-accent hover:underline">Event log</Link>} flush>
            <EventLines most={8} />
          </Panel>
        </div>
        <Command line={command("status")} />
      </div>
    </>
  );
}

function Problems() {
  const problems = useQuery(problemsQuery);
  const items = problems.data?.items ?? [];
  if (problems.isPending) return <Panel title="Problems"><Loading what="Looking for problems" /></Panel>;
  if (problems.error && !problems.data) return <Panel title="Problems"><Failed error={problems.error} retry={() => void problems.refetch()} /></Panel>;
  if (items.length === 0) {
    return (
      <section aria-label="Problems" className="tone-ok flex items-center gap-2.5 rounded-lg px-3.5 py-3">
        <Icon name="ok" />
        <p>
          <b>No problems.</b> Everything is as wanted.
        </p>
      </section>
    );
  }
  return (
    <Panel title={counted(items.length, "problem")} flush>
      <ol className="divide-y divide-line">
        {items.map((problem) => (
          <Problem key={`${problem.code} ${problem.subject}`} problem={problem} />
        ))}
      </ol>
    </Panel>
  );
}

function Problem({ problem }: { problem: Finding }) {
  const subject = subjectOf(problem.subject);
  return (
    <li className="grid gap-x-4 gap-y-2 px-3.5 py-3 lg:grid-cols-[1fr_minmax(18rem,26rem)]">
      <div className="min-w-0">
        <div className="flex flex-wrap items-center gap-2">
          <Status state={problem.severity} />
          {subject?.kind === "workload" ? (
            <Link to="/workloads/$name" params={{ name: subject.name }} className="font-medium hover:underline">
              {subject.name}
            </Link>
          ) : (
            <span className="font-medium">{problem.subject}</span>
          )}
          <span className="text-dim">{problem.code.replaceAll("_", " ")}</span>
        </div>
        <p className="mt-1 break-words">{problem.cause}</p>
        <details className="mt-0.5 text-dim">
          <summary className="rounded">Evidence</summary>
          <ul className="list-inside list-disc break-words">
            {problem.evidence.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </details>
      </div>
      <div className="min-w-0">
        <p className="mb-1 break-words">
          <b>Next:</b> {problem.fix}
        </p>
        <NextStep next={problem.next} />
      </div>
    </li>
  );
}

/** The step as a command to copy, or as the tool that the console runs. */
function NextStep({ next }: { next: string }) {
  if (next.startsWith("univrs ")) return <Command line={next} />;
  const tool = /^([a-z_]+) ?(\{.*)?$/s.exec(next)?.[1];
  if (!tool) return next ? <p className="text-dim">{next}</p> : null;
  return (
    <Link to="/console" search={{ tool }} className="text-accent hover:underline">
      Do it with {tool} in the console
    </Link>
  );
}
