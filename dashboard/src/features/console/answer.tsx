// What a tool answered: its words, the data behind them, and for a plan its state with the way on.

import { Link } from "@tanstack/react-router";

import { isPlan, type Plan } from "../../api/client";
import { Button } from "../../ui/button";
import { Code, Facts, Panel } from "../../ui/page";
import { Trouble } from "../../ui/states";
import { Status } from "../../ui/status";
import { Ago } from "../../ui/time";
import { visible } from "../../ui/visible";
import { PlanView } from "../writes/plan-view";
import type { Run } from "./console";

/** Line ends stay; what cannot be seen is shown by number. */
const legible = (text: string) => text.split("\n").map(visible).join("\n");

export function Answer({ run, apply }: { run: Run; apply: (plan: Plan) => Promise<void> }) {
  const { result, error } = run;
  const data = result?.structuredContent;
  const plan = isPlan(data) ? data : null;
  return (
    <Panel title={`Answer of ${run.tool}`} aside={<Status state={error || result?.isError ? "failed" : "done"} />}>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-3">
        <Trouble error={error} />
        {result?.content.map((part, index) => (
          <pre key={index} tabIndex={0} aria-label="What it says" className="max-h-72 overflow-auto font-mono text-[0.82rem] whitespace-pre-wrap">
            {legible(part.text ?? `(${part.type})`)}
          </pre>
        ))}
        {plan ? (
          <div className="grid grid-cols-[minmax(0,1fr)] gap-3 rounded-md border border-line p-3">
            <Facts
              items={[
                ["Plan", <Code key="p">{plan.plan_id}</Code>],
                ["State", <Status key="s" state={plan.status ?? "ready"} />],
                ["Digest", <Code key="d">{plan.digest}</Code>],
                ["Valid", <Ago key="v" at={plan.expires_at} />],
              ]}
            />
            <PlanView plan={plan} />
            <div className="flex justify-end gap-2">
              {plan.status === "waiting_for_approval" ? (
                <Link to="/plans" search={{ id: plan.plan_id }} className="self-center text-accent hover:underline">
                  Decide about it
                </Link>
              ) : null}
              {run.tool !== "plan_apply" ? (
                <Button reason={plan.status === "ready" || plan.status === "approved" || plan.status === "waiting_for_approval" ? null : `the plan is ${plan.status}`} onClick={() => void apply(plan)}>
                  Run plan_apply
                </Button>
              ) : null}
            </div>
          </div>
        ) : null}
        {data ? (
          <details>
            <summary className="rounded">All data</summary>
            <pre tabIndex={0} aria-label="All data" className="mt-1 max-h-96 overflow-auto font-mono text-[0.82rem]">
              {legible(JSON.stringify(data, null, 2))}
            </pre>
          </details>
        ) : null}
      </div>
    </Panel>
  );
}
