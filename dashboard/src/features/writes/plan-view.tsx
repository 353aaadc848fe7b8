// A plan as a person reads it: what it starts and stops, and every field that changes.

import type { Plan } from "../../api/client";
import { differences, shown } from "../../ui/diff";
import { counted } from "../../ui/format";
import { Status } from "../../ui/status";

const WORDS = { create: "new", update: "changed", delete: "removed" } as const;
const TONES = { create: "ok", update: "info", delete: "bad" } as const;
const MOST = 60;

export function PlanView({ plan }: { plan: Plan }) {
  const { starts, stops } = plan.blast_radius;
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-3">
      <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <span>
          Starts <b>{counted(starts, "instance")}</b>, stops <b>{counted(stops, "instance")}</b>.
        </span>
        {plan.summary ? <span className="text-dim">{plan.summary}</span> : null}
      </p>
      {plan.changes.length === 0 ? <p className="text-dim">Nothing would change: all is as wanted already.</p> : null}
      {plan.changes.map((change) => (
        <div key={`${change.kind} ${change.name}`} className="rounded-md border border-line">
          <div className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-1.5">
            <Status state={change.action} tone={TONES[change.action]} label={WORDS[change.action]} />
            <span>
              {change.kind} <b>{change.name}</b>
            </span>
          </div>
          <Differences before={change.before} after={change.after} />
        </div>
      ))}
      {plan.approval_needed?.length ? (
        <div className="tone-warn rounded-md px-3 py-2">
          <p className="font-medium">A person has to agree to this:</p>
          <ul className="list-inside list-disc">
            {plan.approval_needed.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </div>
      ) : null}
    </div>
  );
}

export function Differences({ before, after, titles = ["now", "then"] }: { before: unknown; after: unknown; titles?: [string, string] }) {
  const found = differences(before, after);
  return (
    <div tabIndex={0} role="region" aria-label="Fields that change" className="max-h-72 overflow-auto">
      <table className="w-full table-fixed text-left font-mono text-[0.82rem]">
        <thead className="sr-only">
          <tr>
            <th scope="col">field</th>
            <th scope="col">{titles[0]}</th>
            <th scope="col">{titles[1]}</th>
          </tr>
        </thead>
        <tbody>
          {found.slice(0, MOST).map(({ path, before, after }) => (
            <tr key={path} className="border-b border-line/60 align-top last:border-0">
              <th scope="row" className="px-3 py-1 font-medium break-all">
                {path}
              </th>
              <td className="px-2 py-1 break-all text-bad">{before === undefined ? "" : <del className="no-underline">- {shown(before)}</del>}</td>
              <td className="px-2 py-1 break-all text-ok">{after === undefined ? "" : <ins className="no-underline">+ {shown(after)}</ins>}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {found.length > MOST ? <p className="px-3 py-1 text-dim">and {counted(found.length - MOST, "more field")}</p> : null}
    </div>
  );
}
