// The second step: a form from the template's JSON Schema.

import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { useCan } from "../../api/caller";
import type { Template } from "../../api/client";
import { providersQuery } from "../../api/queries";
import { useKnown, usePicture } from "../../live/use-live";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { SelectField, TextField } from "../../ui/field";
import { Facts, Panel } from "../../ui/page";
import { Trouble } from "../../ui/states";
import { SchemaFields } from "../console/schema-fields";
import type { Field } from "../console/schema-form";
import { priceOf } from "./catalogue";
import type { Draft } from "./draft";
import { changed, nameFault, settings } from "./form";

interface Props {
  template: Template;
  fields: readonly Field[];
  draft: Draft;
  faults: Readonly<Record<string, string>>;
  parameters: Readonly<Record<string, unknown>>;
  onChange: (draft: Draft) => void;
  onNext: () => void;
}

/** The command that makes the same. */
export function lineOf(template: Template, draft: Draft, parameters: Readonly<Record<string, unknown>>): string {
  const set = settings(changed(template.schema, parameters));
  return command("resource", "create", "--template", template.id, "--name", draft.name || "NAME", ...(draft.provider ? ["--provider", draft.provider] : []), ...set);
}

export function Configure({ template, fields, draft, faults, parameters, onChange, onNext }: Props) {
  const [tried, setTried] = useState(false);
  const [left, setLeft] = useState(false);
  const taken = usePicture((picture) => picture.resources.has(draft.name));
  const known = useKnown();
  const providers = useQuery(providersQuery);
  const can = useCan();
  const fault = nameFault(draft.name, known && taken);
  const wrong = fault !== null || Object.keys(faults).length > 0;
  const items = providers.data?.items ?? [];
  const chosen = items.find((one) => one.id === draft.provider);
  function next(event: FormEvent) {
    event.preventDefault();
    setTried(true);
    if (!wrong) onNext();
  }
  return (
    <form className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]" onSubmit={next}>
      <div className="grid gap-4">
        <Panel title="What">
          <div className="grid gap-3 sm:grid-cols-2">
            <TextField label="Name" value={draft.name} error={tried || left ? fault : null} hint="Unique in the organisation." onBlur={() => setLeft(draft.name !== "")} onChange={(event) => onChange({ ...draft, name: event.target.value })} />
            <SelectField
              label="Provider"
              value={draft.provider}
              error={chosen && !chosen.available ? (chosen.message ?? "It cannot be used now.") : null}
              hint={chosen?.description ?? "Who makes it real. Left open, the first with room is taken."}
              onChange={(event) => onChange({ ...draft, provider: event.target.value })}
            >
              <option value="">the first with room</option>
              {items.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.available ? one.id : `${one.id} (not now)`}
                </option>
              ))}
            </SelectField>
          </div>
          <Trouble error={providers.error} />
        </Panel>
        <Panel title="Parameters">
          <SchemaFields fields={fields} values={draft.values} faults={faults} onChange={(name, value) => onChange({ ...draft, values: { ...draft.values, [name]: value } })} />
        </Panel>
      </div>
      <div className="grid gap-4 xl:sticky xl:top-16">
        <Panel title={template.name}>
          <p className="mb-3 text-dim">{template.description}</p>
          <Facts
            items={[
              ["Template", `${template.id}, version ${template.version}`],
              ["Price", priceOf(template.price) ?? "not known"],
              ["Backups", template.backup ? "on demand" : "none"],
            ]}
          />
        </Panel>
        <Command line={lineOf(template, draft, parameters)} />
        <Button look="main" type="submit" className="justify-self-end" reason={can("resource_write")}>
          Review the plan
        </Button>
      </div>
    </form>
  );
}
