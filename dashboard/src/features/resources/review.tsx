// The third step: what would be made, what it takes of the quota and what it costs; then it is made.

import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { callerQuery } from "../../api/caller";
import { type Amount, api, type Plan, taken, type Template } from "../../api/client";
import { quotaQuery } from "../../api/queries";
import { usePicture } from "../../live/use-live";
import { bytes, bytesOf, cores, coresOf, money } from "../../ui/format";
import { Facts, Panel } from "../../ui/page";
import { Status } from "../../ui/status";
import { WriteBody } from "../writes/write-body";
import { priceOf } from "./catalogue";
import { lineOf } from "./configure";
import { type Draft, dropDraft } from "./draft";
import { isOver, shares, wantedBy } from "./quota";

interface Props {
  template: Template;
  draft: Draft;
  parameters: Readonly<Record<string, unknown>>;
  onBack: () => void;
}

export function Review({ template, draft, parameters, onBack }: Props) {
  const navigate = useNavigate();
  const body = { name: draft.name, template: template.id, parameters, ...(draft.provider ? { provider: draft.provider } : {}) };
  return (
    <Panel title={`The plan of ${draft.name}`}>
      <WriteBody
        verb={`Create ${draft.name}`}
        leave="Back"
        line={lineOf(template, draft, parameters)}
        // A body with the same meaning stands for the same plan; a changed one comes with a new view of this step.
        write={(dry_run) => taken(api.POST("/api/resources", { params: { query: { dry_run } }, body: body as never }))}
        about={(plan) => <About plan={plan} template={template} draft={draft} />}
        onClose={onBack}
        onDone={() => {
          dropDraft(template.id);
          void navigate({ to: "/resources/$name", params: { name: draft.name } });
        }}
      />
    </Panel>
  );
}

function About({ plan, template, draft }: { plan: Plan; template: Template; draft: Draft }) {
  const limits = wantedBy(plan.changes);
  const made = plan.changes.find((change) => change.kind === "resource")?.after as { provider?: string } | null | undefined;
  const facts: (readonly [string, ReactNode])[] = [
    ["Template", template.name],
    ["Provider", made?.provider ?? (draft.provider || "the first with room")],
    ["Size", limits ? `${cores(coresOf(limits.cpu))}, ${bytes(bytesOf(limits.memory))} of memory, ${bytes(bytesOf(limits.storage))} of disk` : "as the template says"],
    ["Price", pricedBy(plan) ?? priceOf(template.price) ?? "not known"],
  ];
  return (
    <div className="grid gap-4 md:grid-cols-2">
      <Facts items={facts} />
      <Use limits={limits} name={draft.name} />
    </div>
  );
}

/** The price of a plan, from a server that prices plans. */
function pricedBy(plan: Plan): string | null {
  const { price } = plan as { price?: { amount?: string; currency?: string; per?: string } | null };
  if (!price?.amount) return null;
  return `${money(price.amount, price.currency ?? "USD")} a ${price.per ?? "month"}`;
}

/** What the organisation uses with it, of what it may. */
export function Use({ limits, name }: { limits: Amount | null; name: string }) {
  const caller = useQuery(callerQuery);
  const quota = useQuery(quotaQuery(caller.data?.org));
  const resources = usePicture((picture) => picture.resources);
  if (!quota.data) return <p className="text-dim">{quota.error ? "The quota of your organisation is not yours to see." : "Loading the quota"}</p>;
  return (
    <table className="h-fit w-full text-left">
      <caption className="pb-1 text-left text-dim">Quota of {caller.data?.org}, with this resource</caption>
      <tbody>
        {shares(quota.data, resources.values(), limits, name).map((share) => (
          <tr key={share.label}>
            <th scope="row" className="pr-3 font-normal text-dim">
              {share.label}
            </th>
            <td>
              {share.write(share.used + share.wanted)} <span className="text-dim">of {share.most === null ? "any number" : share.write(share.most)}</span>
            </td>
            <td className="text-right">{isOver(share) ? <Status state="over" tone="bad" label="too much" /> : null}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
