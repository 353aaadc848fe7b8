// The first step: what there is to choose from.

import { Link, useNavigate } from "@tanstack/react-router";

import type { Template } from "../../api/client";
import { FilterField } from "../../ui/field";
import { money } from "../../ui/format";
import { Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty } from "../../ui/states";

/** What a template costs, in words; null when nothing is known of it. */
export function priceOf(price: Template["price"]): string | null {
  return price ? `${money(price.amount, price.currency)} a ${price.per}` : null;
}

interface Props {
  templates: readonly Template[];
  kind: string | undefined;
  filter: string | undefined;
}

export function Catalogue({ templates, kind, filter = "" }: Props) {
  const navigate = useNavigate();
  const kinds = [...new Set(templates.map((one) => one.kind))].toSorted();
  const shown = templates.filter((one) => (!kind || one.kind === kind) && matches(filter, one.id, one.name, one.description, one.kind));
  const search = (next: { kind?: string; q?: string }) => void navigate({ to: "/catalogue", search: next, replace: true });
  return (
    <>
      <div className="mb-3 flex flex-wrap items-center gap-2">
        <FilterField label="Filter templates" value={filter} onChange={(text) => search({ kind, q: text || undefined })} />
        <div role="group" aria-label="Only of this kind" className="flex flex-wrap gap-1">
          {kinds.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={kind === one}
              className="rounded-full border border-line px-2.5 py-0.5 text-dim hover:text-text aria-pressed:border-accent aria-pressed:text-accent"
              onClick={() => search({ kind: kind === one ? undefined : one, q: filter || undefined })}
            >
              {one.toLowerCase()}
            </button>
          ))}
        </div>
      </div>
      {shown.length === 0 ? (
        <Panel>
          <Empty icon="search" title={templates.length === 0 ? "No templates" : "No template fits the filter"}>
            {templates.length === 0 ? "This server has none; `univrs up --template-dir` adds some." : `${templates.length} in all.`}
          </Empty>
        </Panel>
      ) : null}
      <ul aria-label="Templates" className="grid gap-3 sm:grid-cols-2 xl:grid-cols-3">
        {shown.map((template) => (
          <li key={template.id} className="grid min-w-0 content-start gap-2 rounded-lg border border-line bg-panel p-3.5">
            <div className="flex items-baseline justify-between gap-2">
              <h2 className="font-semibold">
                <Link to="/catalogue" search={{ template: template.id }} className="hover:underline">
                  {template.name}
                </Link>
              </h2>
              <span className="text-[0.82rem] text-dim">{template.kind.toLowerCase()}</span>
            </div>
            <p className="text-dim">{template.description}</p>
            <p className="flex flex-wrap gap-x-3 text-[0.86rem] text-dim">
              <span className="font-mono">{template.id}</span>
              <span>{priceOf(template.price) ?? "no price known"}</span>
              <span>{template.backup ? "with backups" : "without backups"}</span>
            </p>
          </li>
        ))}
      </ul>
    </>
  );
}
