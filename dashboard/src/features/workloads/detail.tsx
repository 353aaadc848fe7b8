// One workload: its rollout and everything one can ask of it or do to it.

import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useMemo, useState } from "react";

import { useCan } from "../../api/caller";
import type { Workload } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { type Tab, TABS } from "../../router";
import { Button, buttonClass } from "../../ui/button";
import { PageHead, Panel } from "../../ui/page";
import { Empty, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { EventLines } from "../events/event-lines";
import { DeleteDialog, ScaleDialog, UpdateDialog } from "./actions";
import { History } from "./history";
import { Spec } from "./spec-editor";
import { Summary } from "./summary";
import { Why } from "./why";

const LogView = lazy(() => import("../logs/log-view").then((module) => ({ default: module.LogView })));
const Terminal = lazy(() => import("../terminal/terminal").then((module) => ({ default: module.Terminal })));

const LABELS: Record<Tab, string> = {
  summary: "Summary", logs: "Logs", terminal: "Terminal", events: "Events", why: "Why here?", history: "History", spec: "Spec",
};

export function WorkloadDetail() {
  const { name } = useParams({ from: "/workloads/$name" });
  const { tab = "summary" } = useSearch({ from: "/workloads/$name" });
  const workload = usePicture((picture) => picture.workloads.get(name));
  const known = useKnown();
  if (!known) return <Loading what={`Loading ${name}`} />;
  if (!workload) {
    return (
      <>
        <PageHead title={name} />
        <Panel>
          <Empty icon="search" title="There is no such workload">
            It may have been removed. <Link to="/workloads">All workloads</Link>
          </Empty>
        </Panel>
      </>
    );
  }
  return (
    <>
      <Head workload={workload} />
      <nav aria-label={`Parts of ${name}`} className="mb-4 flex gap-1 overflow-x-auto border-b border-line">
        {TABS.map((one) => (
          <Link
            key={one}
            to="/workloads/$name"
            params={{ name }}
            search={{ tab: one === "summary" ? undefined : one }}
            activeOptions={{ exact: true, includeSearch: true, explicitUndefined: true }}
            aria-current={tab === one ? "page" : undefined}
            className="-mb-px rounded-t border-b-2 border-transparent px-3 py-2 whitespace-nowrap text-dim hover:text-text aria-[current]:border-accent aria-[current]:font-medium aria-[current]:text-text"
          >
            {LABELS[one]}
          </Link>
        ))}
      </nav>
      <Suspense fallback={<Loading />}>
        <Part tab={tab} workload={workload} />
      </Suspense>
    </>
  );
}

function Part({ tab, workload }: { tab: Tab; workload: Workload }) {
  const { name } = workload;
  const only = useMemo(() => (event: { workload?: string | null }) => event.workload === name, [name]);
  switch (tab) {
    case "summary":
      return <Summary workload={workload} />;
    case "logs":
      return <LogView key={name} workload={name} />;
    case "terminal":
      return <Terminal key={name} workload={workload} />;
    case "events":
      return (
        <Panel title={`Events of ${name}`} flush>
          <EventLines most={200} only={only} />
        </Panel>
      );
    case "why":
      return <Why workload={name} />;
    case "history":
      return <History workload={workload} />;
    case "spec":
      return <Spec key={name} workload={workload} />;
  }
}

function Head({ workload }: { workload: Workload }) {
  const { name } = workload;
  const can = useCan();
  const navigate = useNavigate();
  const [open, setOpen] = useState<"scale" | "update" | "delete" | null>(null);
  const close = () => setOpen(null);
  const reason = can("workload_write");
  const fixed = workload.spec.kind === "daemon" ? "a daemon has one instance on each node" : workload.spec.singleton ? "a singleton has one instance" : null;
  return (
    <>
      <PageHead
        title={name}
        about={
          <>
            {workload.spec.kind ?? "service"}, version {workload.version}
            {workload.reverted_from ? `, taken back from version ${workload.reverted_from}` : ""}
          </>
        }
        badge={<Status state={workload.status} />}
        actions={
          <>
            <Button reason={reason ?? fixed} onClick={() => setOpen("scale")}>
              Scale
            </Button>
            <Button reason={reason} onClick={() => setOpen("update")}>
              Update
            </Button>
            <Link to="/workloads/$name" params={{ name }} search={{ tab: "history" }} className={buttonClass()}>
              Roll back
            </Link>
            <Button reason={reason} onClick={() => setOpen("delete")}>
              Delete
            </Button>
          </>
        }
      />
      {open === "scale" ? <ScaleDialog workload={workload} onClose={close} /> : null}
      {open === "update" ? <UpdateDialog workload={workload} onClose={close} /> : null}
      {open === "delete" ? <DeleteDialog workload={workload} onClose={close} onDone={() => void navigate({ to: "/workloads" })} /> : null}
    </>
  );
}
