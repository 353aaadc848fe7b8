// A new resource in three steps: the template, its configuration, the plan. Which step stands in the address; what was
// typed is kept in the tab.

import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import type { Template } from "../../api/client";
import { templatesQuery } from "../../api/queries";
import { PageHead, Panel } from "../../ui/page";
import { Empty, Failed, Loading } from "../../ui/states";
import type { Schema } from "../console/schema-form";
import { Catalogue } from "./catalogue";
import { Configure } from "./configure";
import { type Draft, keepDraft, readDraft } from "./draft";
import { initial, nameFault, parameterFields, parametersOf } from "./form";
import { Review } from "./review";

export function Wizard() {
  const { template: id, step, kind, q } = useSearch({ from: "/catalogue" });
  const { data, error, isPending, refetch } = useQuery(templatesQuery);
  const template = data?.items.find((one) => one.id === id);
  const at = !id ? 0 : step === "review" ? 2 : 1;
  return (
    <>
      <PageHead title={template ? `New ${template.name}` : "Catalogue"} about="Choose a template, configure it, read the plan. Nothing is made before you say so." />
      <Steps at={at} template={id} />
      {isPending ? <Loading what="Loading the catalogue" /> : null}
      {error && !data ? <Failed error={error} retry={() => void refetch()} /> : null}
      {data && !id ? <Catalogue templates={data.items} kind={kind} filter={q} /> : null}
      {data && id && !template ? (
        <Panel>
          <Empty icon="search" title="There is no such template">
            It may be one of another cluster. <Link to="/catalogue">The catalogue</Link>
          </Empty>
        </Panel>
      ) : null}
      {template ? <Chosen key={template.id} template={template} review={step === "review"} /> : null}
    </>
  );
}

const NAMES = ["Template", "Configure", "Review"] as const;

function Steps({ at, template }: { at: number; template: string | undefined }) {
  return (
    <nav aria-label="Steps" className="mb-4">
      <ol className="flex flex-wrap gap-x-2 gap-y-1">
        {NAMES.map((name, index) => {
          const look = `flex items-center gap-1.5 rounded-full border px-2.5 py-0.5 ${index === at ? "border-accent font-medium text-accent" : "border-line text-dim"}`;
          const text = (
            <>
              <span aria-hidden="true">{index + 1}</span> {name}
            </>
          );
          return (
            <li key={name} aria-current={index === at ? "step" : undefined}>
              {index < at ? (
                <Link to="/catalogue" search={index === 0 ? {} : { template }} className={`${look} hover:text-text`}>
                  {text}
                </Link>
              ) : (
                <span className={look}>{text}</span>
              )}
            </li>
          );
        })}
      </ol>
    </nav>
  );
}

function Chosen({ template, review }: { template: Template; review: boolean }) {
  const schema = template.schema as Schema;
  const [draft, setDraft] = useState<Draft>(() => readDraft(template.id) ?? { name: "", provider: "", values: initial(schema) });
  const navigate = useNavigate();
  const fields = parameterFields(schema);
  const read = parametersOf(schema, fields, draft.values);
  // An address of the review without what it needs leads back to the form.
  const complete = nameFault(draft.name, false) === null && Object.keys(read.faults).length === 0;
  function change(next: Draft) {
    keepDraft(template.id, next);
    setDraft(next);
  }
  if (review && complete) {
    return <Review template={template} draft={draft} parameters={read.parameters} onBack={() => void navigate({ to: "/catalogue", search: { template: template.id } })} />;
  }
  return (
    <Configure
      template={template}
      fields={fields}
      draft={draft}
      faults={read.faults}
      parameters={read.parameters}
      onChange={change}
      onNext={() => void navigate({ to: "/catalogue", search: { template: template.id, step: "review" } })}
    />
  );
}
