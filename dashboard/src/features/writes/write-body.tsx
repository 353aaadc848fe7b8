// Every write: the plan is shown first, then carried out as it was shown. A plan that is ready is applied by its
// digest, so that nothing else can happen than what was read; destruction asks for the name.

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";

import { api, isPlan, type Plan, taken } from "../../api/client";
import { Button } from "../../ui/button";
import { Command } from "../../ui/copy";
import { TextField } from "../../ui/field";
import { Loading, Trouble } from "../../ui/states";
import { PlanView } from "./plan-view";

export interface WriteProps {
  /** The word on the button. */
  verb: string;
  /** The write; with `dry_run` it answers the plan. */
  write: (dryRun: boolean) => Promise<unknown>;
  /** The same on the command line. */
  line: string;
  /** The name that has to be typed before something is destroyed; where the plan needs a person's agreement, that of its first change when absent. */
  confirm?: string;
  note?: ReactNode;
  /** What else there is to say of the plan once it is there. */
  about?: (plan: Plan) => ReactNode;
  /** The word on the button that leaves; `Cancel` when absent. */
  leave?: string;
  /** Leaving without carrying it out. */
  onClose: () => void;
  onDone?: (result: unknown) => void;
}

let opened = 0;

export function WriteBody({ verb, write, line, confirm: asked, note, about, leave = "Cancel", onClose, onDone }: WriteProps) {
  const client = useQueryClient();
  const [id] = useState(() => (opened += 1));
  const [typed, setTyped] = useState("");
  const plan = useQuery({
    queryKey: ["dry-run", id],
    queryFn: async () => {
      const answer = await write(true);
      return isPlan(answer) ? answer : null;
    },
    retry: false,
    staleTime: Infinity,
    gcTime: 0,
  });
  const apply = useMutation({
    mutationFn: async () => {
      const shown = plan.data;
      if (shown?.status === "ready") {
        const { plan_id, digest } = shown;
        return taken(api.POST("/api/plans/{plan}/apply", { params: { path: { plan: plan_id } }, body: { digest } }));
      }
      return write(false);
    },
    onSuccess: (result) => {
      // The plan itself is done with; asking for it again would be refused.
      void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "dry-run" });
      onDone?.(result);
    },
  });
  const empty = plan.data?.status === "empty";
  // What the server wants a person's agreement to destroys something too, such as scaling to nothing.
  const confirm = asked ?? (plan.data?.approval_needed?.length ? plan.data.changes[0]?.name : undefined);
  const reason = apply.isPending
    ? "it is being carried out"
    : !plan.data
      ? "the plan is not there yet"
      : empty
        ? "nothing would change"
        : confirm && typed !== confirm
          ? `type ${confirm} to confirm`
          : null;
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-3">
      {note}
      {plan.isPending ? <Loading what="Working out what would change" /> : null}
      {plan.data && about ? about(plan.data) : null}
      {plan.data ? <PlanView plan={plan.data} /> : null}
      <Trouble error={plan.error ?? apply.error} />
      {confirm && plan.data ? (
        <TextField label={`Type ${confirm} to confirm`} value={typed} onChange={(event) => setTyped(event.target.value)} />
      ) : null}
      <div>
        <p className="mb-1 text-[0.86rem] text-dim">The same on the command line</p>
        <Command line={line} />
      </div>
      <div className="flex flex-wrap justify-end gap-2">
        {plan.error || apply.error ? (
          <Button
            onClick={() => {
              apply.reset();
              void plan.refetch();
            }}
          >
            Plan again
          </Button>
        ) : null}
        <Button onClick={onClose}>{leave}</Button>
        <Button look={confirm ? "danger" : "main"} reason={reason} onClick={() => apply.mutate()}>
          {apply.isPending ? "Working…" : verb}
        </Button>
      </div>
    </div>
  );
}
