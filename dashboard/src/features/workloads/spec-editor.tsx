// The whole specification as a text to change. When somebody else changed the workload meanwhile, both versions are
// shown instead of one overwriting the other.

import { useState } from "react";

import { useCan } from "../../api/caller";
import { api, taken, type Workload, type WorkloadSpec } from "../../api/client";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { CopyButton } from "../../ui/copy";
import { differences } from "../../ui/diff";
import { AreaField } from "../../ui/field";
import { Panel } from "../../ui/page";
import { Differences } from "../writes/plan-view";
import { WriteDialog } from "../writes/write-dialog";

const written = (spec: WorkloadSpec) => JSON.stringify(spec, null, 2);

/** The text as a specification, or what is wrong with it. */
export function parsed(text: string): { spec: WorkloadSpec } | { fault: string } {
  try {
    const spec: unknown = JSON.parse(text);
    if (typeof spec !== "object" || spec === null || Array.isArray(spec)) return { fault: "This is JSON, but not an object." };
    return { spec: spec as WorkloadSpec };
  } catch (error) {
    return { fault: `This is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}

export function Spec({ workload }: { workload: Workload }) {
  const [base, setBase] = useState(workload);
  const [text, setText] = useState(() => written(workload.spec));
  const [asked, setAsked] = useState<WorkloadSpec | null>(null);
  const can = useCan();
  const read = parsed(text);
  const fault = "fault" in read ? read.fault : null;
  const mine = "spec" in read ? read.spec : null;
  const changed = mine !== null && differences(base.spec, mine).length > 0;
  const moved = workload.generation !== base.generation && differences(base.spec, workload.spec).length > 0;
  const revision = moved ? base.revision : workload.revision;

  function renew() {
    setBase(workload);
    setText(written(workload.spec));
  }

  return (
    <Panel title="Specification" aside={<CopyButton text={text} label="Copy the specification" />}>
      <div className="grid gap-3">
        {moved ? (
          <div role="alert" className="rounded-md border border-warn">
            <div className="tone-warn flex flex-wrap items-center justify-between gap-2 px-3 py-2">
              <p>
                <b>Somebody changed {workload.name} while you were here.</b> {changed ? "Yours and theirs differ as below." : ""}
              </p>
              <span className="flex gap-2">
                <Button small onClick={renew}>
                  Take theirs
                </Button>
                {changed ? (
                  <Button small onClick={() => setBase(workload)}>
                    Keep mine
                  </Button>
                ) : null}
              </span>
            </div>
            <Differences before={workload.spec} after={mine ?? base.spec} titles={["theirs", "yours"]} />
          </div>
        ) : null}
        <AreaField label="As JSON" rows={26} value={text} error={fault} onChange={(event) => setText(event.target.value)} />
        <div className="flex justify-end gap-2">
          <Button reason={changed || fault ? null : "nothing is changed"} onClick={renew}>
            Undo my changes
          </Button>
          <Button
            look="main"
            reason={can("workload_write") ?? fault ?? (moved ? "decide about the other change first" : changed ? null : "nothing is changed")}
            onClick={() => setAsked(mine)}
          >
            Show the plan
          </Button>
        </div>
      </div>
      {asked ? (
        <WriteDialog
          title={`Change ${workload.name}`}
          verb="Change"
          line={command("deploy", `${workload.name}.json`)}
          write={(dry_run) =>
            taken(
              api.PUT("/api/workloads/{workload}", {
                params: { path: { workload: workload.name }, query: { dry_run } },
                headers: { "If-Match": `"${revision}"` },
                body: asked,
              }),
            )
          }
          onClose={() => setAsked(null)}
          onDone={() => setBase({ ...workload, spec: asked })}
        />
      ) : null}
    </Panel>
  );
}
