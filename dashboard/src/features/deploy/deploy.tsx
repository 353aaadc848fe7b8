// Deploy a workload by a form; the plan comes before anything is done.

import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { useCan } from "../../api/caller";
import { api, taken, type WorkloadSpec } from "../../api/client";
import { imagesQuery } from "../../api/queries";
import { usePicture } from "../../live/use-live";
import { Button } from "../../ui/button";
import { Command, CopyButton } from "../../ui/copy";
import { AreaField, SelectField, TextField } from "../../ui/field";
import { PageHead, Panel } from "../../ui/page";
import { WriteDialog } from "../writes/write-dialog";
import { BLANK, faults, type Form, lineOf, specOf } from "./form";

export function Deploy() {
  const [form, setForm] = useState<Form>(BLANK);
  const [seen, setSeen] = useState<ReadonlySet<keyof Form>>(new Set());
  const [asked, setAsked] = useState<WorkloadSpec | null>(null);
  const workloads = usePicture((picture) => picture.workloads);
  const images = useQuery(imagesQuery);
  const navigate = useNavigate();
  const can = useCan();
  const found = faults(form, (name) => workloads.has(name));
  const spec = specOf(form);
  const first = Object.values(found)[0];

  /** What a field of the form needs; its fault is shown once it was left. */
  function field(name: keyof Form) {
    return {
      value: form[name],
      error: seen.has(name) ? found[name] : null,
      onBlur: () => setSeen(new Set([...seen, name])),
      onChange: (event: { target: { value: string } }) => setForm({ ...form, [name]: event.target.value }),
    };
  }

  return (
    <>
      <PageHead title="Deploy a workload" about="You see the plan before anything happens." />
      <form
        className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(20rem,28rem)]"
        onSubmit={(event) => {
          event.preventDefault();
          setSeen(new Set(Object.keys(form) as (keyof Form)[]));
          if (!first) setAsked(spec);
        }}
      >
        <div className="grid gap-4">
          <Panel title="What">
            <div className="grid gap-3 sm:grid-cols-2">
              <TextField label="Name" {...field("name")} hint="Other workloads reach it as name.internal." />
              <TextField label="Image" list="images" {...field("image")} hint="Of this cluster or of a registry." />
              <datalist id="images">
                {(images.data?.items ?? []).map((image) => (
                  <option key={image.reference} value={image.reference} />
                ))}
              </datalist>
              <SelectField label="Kind" {...field("kind")}>
                <option value="service">service: keeps running</option>
                <option value="job">job: runs to its end</option>
                <option value="cron">cron: a job at set times</option>
                <option value="daemon">daemon: one on each node</option>
              </SelectField>
              {form.kind === "cron" ? (
                <TextField label="Times" {...field("cron")} hint="Minute, hour, day, month, weekday, in UTC." />
              ) : form.kind === "daemon" ? null : (
                <TextField label="Instances" inputMode="numeric" {...field("replicas")} />
              )}
              <TextField label="Arguments" className="font-mono" {...field("command")} hint="Given to the image's own program." />
            </div>
          </Panel>
          <Panel title="Needs">
            <div className="grid gap-3 sm:grid-cols-2">
              <TextField label="CPU" {...field("cpu")} hint="Requested of a node for each instance." />
              <TextField label="Memory" {...field("memory")} hint="Requested of a node for each instance." />
              <AreaField label="Environment" rows={4} {...field("env")} hint="NAME=value, one a line. Keep secrets out of here: see Secrets." />
              <AreaField label="Where" rows={4} {...field("constraints")} hint="Constraints, one a line, such as: cloud == aws" />
            </div>
          </Panel>
          <Panel title="Reach and health">
            <div className="grid gap-3 sm:grid-cols-3">
              <TextField label="Port" inputMode="numeric" {...field("port")} hint="In the container." />
              <TextField label="Address" {...field("host")} hint="Host name at the ingress." />
              <TextField label="Health path" {...field("healthPath")} hint="Answers 200 when it is well." />
            </div>
          </Panel>
        </div>
        <div className="grid gap-4 xl:sticky xl:top-16">
          <Panel title="As a document" aside={<CopyButton text={JSON.stringify(spec, null, 2)} label="Copy the document" />}>
            <pre tabIndex={0} aria-label="The document" className="max-h-96 overflow-auto font-mono text-[0.82rem]">
              {JSON.stringify(spec, null, 2)}
            </pre>
          </Panel>
          <Command line={lineOf(form)} />
          <Button look="main" type="submit" className="justify-self-end" reason={can("workload_write")}>
            Show the plan
          </Button>
        </div>
      </form>
      {asked ? (
        <WriteDialog
          title={`Deploy ${asked.name}`}
          verb="Deploy"
          line={lineOf(form)}
          write={(dry_run) => taken(api.POST("/api/workloads", { params: { query: { dry_run } }, body: asked }))}
          onClose={() => setAsked(null)}
          onDone={() => void navigate({ to: "/workloads/$name", params: { name: asked.name } })}
        />
      ) : null}
    </>
  );
}
