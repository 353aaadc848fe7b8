// Why instances are where they are, or nowhere: the scheduler's own account.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import type { Explanation } from "../../api/client";
import { explainQuery } from "../../api/queries";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { NodeName } from "../nodes/node-name";
import { counted } from "../../ui/format";
import { Panel } from "../../ui/page";
import { Failed, Loading } from "../../ui/states";
import { Status } from "../../ui/status";

export function Why({ workload }: { workload: string }) {
  const { data, error, isPending, refetch } = useQuery(explainQuery(workload));
  if (isPending) return <Loading what="Asking the scheduler" />;
  if (error && !data) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return null;
  return (
    <div className="grid gap-4">
      <Command line={command("workload", "explain", workload)} />
      <div className="grid gap-4 xl:grid-cols-2">
        <Panel title="Where its instances are" flush>
          {data.instances.length === 0 ? <p className="p-3.5 text-dim">There are none.</p> : null}
          <ul className="divide-y divide-line">
            {data.instances.map((instance) => (
              <li key={instance.id} className="grid gap-0.5 px-3.5 py-2">
                <span className="flex flex-wrap items-center gap-2">
                  <span className="font-mono text-[0.86rem]">{instance.id}</span>
                  <Status state={instance.phase} />
                  {instance.node ? (
                    <span className="text-accent">
                      <NodeName id={instance.node} />
                    </span>
                  ) : null}
                </span>
                <span className="text-dim">{instance.reason}</span>
              </li>
            ))}
          </ul>
        </Panel>
        <Panel title="Where the next one would go">
          <Next next={data.next} />
        </Panel>
      </div>
    </div>
  );
}

function Next({ next }: { next: Explanation["next"] }) {
  const out = [...Object.entries(next.filtered), ...Object.entries(next.constraints)];
  const terms = [...new Set(next.best.flatMap((node) => Object.keys(node.scores)))].toSorted();
  return (
    <div className="grid gap-3">
      <p>{next.summary}</p>
      {next.exhausted ? <p className="text-warn">{next.exhausted}</p> : null}
      {out.length > 0 ? (
        <ul className="grid gap-1">
          {out.map(([reason, count]) => (
            <li key={reason}>
              <b>{counted(count, "node")}</b> <span className="text-dim">left out:</span> {reason}
            </li>
          ))}
        </ul>
      ) : null}
      {next.best.length > 0 ? (
        <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Scores of the best nodes">
          <table className="w-full text-left">
            <thead>
              <tr className="text-[0.86rem] text-dim">
                <th scope="col" className="py-1 pr-3 font-medium">Node</th>
                {terms.map((term) => (
                  <th key={term} scope="col" className="px-2 py-1 text-right font-medium">{term}</th>
                ))}
                <th scope="col" className="py-1 pl-2 text-right font-medium">total</th>
              </tr>
            </thead>
            <tbody>
              {next.best.map((node) => (
                <tr key={node.node} className="border-t border-line">
                  <th scope="row" className="py-1 pr-3 font-medium">
                    <Link to="/nodes/$id" params={{ id: node.node }} className="hover:underline">
                      {node.name}
                    </Link>
                  </th>
                  {terms.map((term) => (
                    <td key={term} className="px-2 py-1 text-right">{(node.scores[term] ?? 0).toFixed(3)}</td>
                  ))}
                  <td className="py-1 pl-2 text-right font-medium">{node.total.toFixed(3)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </div>
  );
}
