// Scale, rotate, back up, restore, destroy: a form where one is needed, then the plan.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, type Resource, taken } from "../../api/client";
import { templatesQuery } from "../../api/queries";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Dialog } from "../../ui/dialog";
import { Empty, Failed, Loading } from "../../ui/states";
import { SchemaFields } from "../console/schema-fields";
import type { Schema } from "../console/schema-form";
import { WriteDialog } from "../writes/write-dialog";
import { changed, initial, parameterFields, parametersOf, settings } from "./form";
import { wantedBy } from "./quota";
import { Use } from "./review";

interface Props {
  resource: Resource;
  onClose: () => void;
  onDone?: () => void;
}

const at = (resource: string, dry_run: boolean) => ({ path: { resource }, query: { dry_run } });

export function ScaleDialog({ resource, onClose }: Props) {
  const { data, error, refetch } = useQuery(templatesQuery);
  const template = data?.items.find((one) => one.id === resource.template);
  if (template) return <Sizes resource={resource} schema={template.schema} onClose={onClose} />;
  return (
    <Dialog title={`Scale ${resource.name}`} onClose={onClose}>
      {error ? <Failed error={error} retry={() => void refetch()} /> : null}
      {data ? <Empty title="Its template is not known here">It is not in the catalogue of this server any more: {resource.template}</Empty> : null}
      {!data && !error ? <Loading what="Loading its template" /> : null}
    </Dialog>
  );
}

function Sizes({ resource, schema, onClose }: Props & { schema: Schema }) {
  const before = initial(schema, resource.parameters);
  const [values, setValues] = useState(before);
  const [asked, setAsked] = useState<Record<string, unknown> | null>(null);
  const fields = parameterFields(schema, true);
  const { parameters, faults } = parametersOf(schema, fields, values);
  const next = changed(schema, parameters, before);
  const { name } = resource;
  if (asked) {
    return (
      <WriteDialog
        title={`Scale ${name}`}
        verb="Scale"
        line={command("resource", "scale", name, ...settings(asked))}
        write={(dry) => taken(api.POST("/api/resources/{resource}/scale", { params: at(name, dry), body: { parameters: asked as Record<string, never> } }))}
        about={(plan) => <Use limits={wantedBy(plan.changes) ?? resource.footprint.limits} name={name} />}
        onClose={onClose}
      />
    );
  }
  const reason = Object.keys(faults).length > 0 ? "a field is not right" : Object.keys(next).length === 0 ? "nothing is changed yet" : null;
  return (
    <Dialog title={`Scale ${name}`} onClose={onClose}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (!reason) setAsked(next);
        }}
      >
        {fields.length === 0 ? <p className="text-dim">Its template has nothing that can be changed later.</p> : null}
        <SchemaFields fields={fields} values={values} faults={faults} onChange={(field, value) => setValues({ ...values, [field]: value })} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="main" type="submit" reason={reason}>
            Show the plan
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function RotateDialog({ resource: { name }, onClose }: Props) {
  return (
    <WriteDialog
      title={`Rotate the credentials of ${name}`}
      verb="Rotate"
      line={command("resource", "rotate", name)}
      note={<p>New credentials are made. The old ones stay good for a moment, so that programs can change over; then they are taken back.</p>}
      write={(dry) => taken(api.POST("/api/resources/{resource}/rotate", { params: at(name, dry) }))}
      onClose={onClose}
    />
  );
}

export function BackUpDialog({ resource: { name }, onClose }: Props) {
  return (
    <WriteDialog
      title={`Back ${name} up`}
      verb="Back up"
      line={command("resource", "backup", name)}
      write={(dry) => taken(api.POST("/api/resources/{resource}/backups", { params: at(name, dry) }))}
      onClose={onClose}
    />
  );
}

export function RestoreDialog({ resource: { name }, from, backup, onClose }: Props & { from: string; backup: string }) {
  const other = from === name ? null : from;
  return (
    <WriteDialog
      title={`Restore ${name}`}
      verb="Restore"
      confirm={name}
      line={command("resource", "restore", name, ...(other ? ["--from", other] : []), "--backup", backup)}
      note={
        <p>
          Everything that <b>{name}</b> holds is replaced by the backup <span className="font-mono">{backup}</span>
          {other ? <> of {other}</> : null}.
        </p>
      }
      write={(dry) => taken(api.POST("/api/resources/{resource}/restore", { params: at(name, dry), body: { backup, ...(other ? { from: other } : {}) } }))}
      onClose={onClose}
    />
  );
}

export function DestroyDialog({ resource: { name, backups }, onClose, onDone }: Props) {
  return (
    <WriteDialog
      title={`Destroy ${name}`}
      verb="Destroy"
      confirm={name}
      line={command("resource", "rm", name)}
      note={<p>All it holds is gone, {backups.length > 0 ? "its backups too" : "and it has no backups"}. This cannot be taken back.</p>}
      write={(dry) => taken(api.DELETE("/api/resources/{resource}", { params: at(name, dry) }))}
      onClose={onClose}
      onDone={onDone}
    />
  );
}
