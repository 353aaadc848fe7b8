// The versions of a workload, what each changed, and the way back.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useCan } from "../../api/caller";
import type { Workload } from "../../api/client";
import { workloadHistoryQuery } from "../../api/queries";
import { Button } from "../../ui/button";
import { Panel } from "../../ui/page";
import { Empty, Failed, Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { Ago } from "../../ui/time";
import { Differences } from "../writes/plan-view";
import { RollbackDialog } from "./actions";

export function History({ workload }: { workload: Workload }) {
  const { data, error, isPending, refetch } = useQuery(workloadHistoryQuery(workload.name, workload.version));
  const [back, setBack] = useState<number | null>(null);
  const can = useCan();
  if (isPending) return <Loading what="Loading versions" />;
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  const items = data.items.toSorted((a, b) => b.number - a.number);
  return (
    <Panel title="Versions" flush>
      {items.length === 0 ? <Empty title="No versions are kept" /> : null}
      <ol className="divide-y divide-line">
        {items.map((version, index) => {
          const before = items[index + 1];
          return (
            <li key={version.number} className="grid gap-1 px-3.5 py-2.5">
              <div className="flex flex-wrap items-center gap-2">
                <b>Version {version.number}</b>
                {version.current ? <Status state="current" tone="info" /> : null}
                {version.proven ? <Status state="proven" tone="ok" /> : <Status state="never ready" tone="quiet" />}
                <span className="text-dim">
                  <Ago at={version.created_at} />
                </span>
                <span className="min-w-0 truncate font-mono text-[0.86rem]">{version.images.join(", ")}</span>
                <span className="ml-auto">
                  <Button small reason={can("workload_write") ?? (version.current ? "it is the current version" : null)} onClick={() => setBack(version.number)}>
                    Roll back to it
                  </Button>
                </span>
              </div>
              {before ? (
                <details className="text-dim">
                  <summary className="rounded">What it changed</summary>
                  <Differences before={before.spec} after={version.spec} titles={["before", "in it"]} />
                </details>
              ) : null}
            </li>
          );
        })}
      </ol>
      {back !== null ? <RollbackDialog workload={workload} to={back} onClose={() => setBack(null)} /> : null}
    </Panel>
  );
}
