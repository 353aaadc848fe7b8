// The deploy form as a value, what is wrong with it, and the specification it stands for.

import type { WorkloadSpec } from "../../api/client";
import { command } from "../../ui/cli";

export interface Form {
  name: string;
  image: string;
  kind: "service" | "job" | "cron" | "daemon";
  replicas: string;
  cpu: string;
  memory: string;
  port: string;
  host: string;
  healthPath: string;
  cron: string;
  env: string;
  constraints: string;
  command: string;
}

export const BLANK: Form = {
  name: "", image: "", kind: "service", replicas: "1", cpu: "100m", memory: "64Mi", port: "", host: "", healthPath: "", cron: "",
  env: "", constraints: "", command: "",
};

export type Faults = Partial<Record<keyof Form, string>>;

/** What this page can say by itself; the server checks everything again. */
export function faults(form: Form, taken: (name: string) => boolean): Faults {
  const found: Faults = {};
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(form.name)) found.name = "Lower-case letters, digits and hyphens, at most 63.";
  else if (taken(form.name)) found.name = "There is a workload of this name. Update that one, or choose another name.";
  if (form.image.trim() === "") found.image = "Say which image to run.";
  else if (/\s/.test(form.image.trim())) found.image = "An image has no spaces.";
  if (counts(form.kind) && !/^\d{1,5}$/.test(form.replicas)) found.replicas = "A whole number.";
  if (!/^(\d+m|\d+(\.\d+)?)$/.test(form.cpu)) found.cpu = "Cores such as 0.5, or thousandths such as 250m.";
  if (!/^\d+(\.\d+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$/.test(form.memory)) found.memory = "A size such as 128Mi or 1Gi.";
  if (form.port !== "" && !(/^\d{1,5}$/.test(form.port) && Number(form.port) >= 1 && Number(form.port) <= 65_535)) found.port = "A port from 1 to 65535.";
  if (form.host !== "" && form.port === "") found.host = "An address leads to a port; say which.";
  if (form.healthPath !== "" && form.port === "") found.healthPath = "A check asks a port; say which.";
  else if (form.healthPath !== "" && !form.healthPath.startsWith("/")) found.healthPath = "A path begins with /.";
  if (form.kind === "cron" && form.cron.trim().split(/\s+/).length !== 5) found.cron = "Five fields, such as 0 3 * * *.";
  const wrong = lines(form.env).find((line) => !/^[A-Za-z_][A-Za-z0-9_]*=/.test(line));
  if (wrong !== undefined) found.env = `“${wrong}” is not NAME=value.`;
  return found;
}

const counts = (kind: Form["kind"]) => kind === "service" || kind === "job";

function lines(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

export function specOf(form: Form): WorkloadSpec {
  const env = Object.fromEntries(lines(form.env).map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
  const port = form.port === "" ? null : Number(form.port);
  const words = form.command.trim() === "" ? [] : form.command.trim().split(/\s+/);
  const constraints = lines(form.constraints);
  const spec: WorkloadSpec = {
    name: form.name,
    kind: form.kind,
    containers: [
      {
        name: "app",
        image: form.image.trim(),
        ...(words.length > 0 ? { args: words } : {}),
        ...(Object.keys(env).length > 0 ? { env } : {}),
        ...(port ? { ports: [{ name: "http", container_port: port }] } : {}),
        resources: { cpu: form.cpu, memory: form.memory },
        ...(port && form.healthPath ? { health: { http: { path: form.healthPath, port } } } : {}),
      },
    ],
    ...(counts(form.kind) ? { replicas: Number(form.replicas) } : {}),
    ...(constraints.length > 0 ? { placement: { constraints } } : {}),
    ...(form.kind === "cron" ? { schedule: { cron: form.cron.trim() } } : {}),
    ...(port && form.host ? { ingress: [{ host: form.host, port: "http" }] } : {}),
  };
  return spec;
}

/** The command that deploys the same: `run` where its flags say all, a file elsewhere. */
export function lineOf(form: Form): string {
  const simple = form.kind === "service" && !form.port && !form.host && !form.constraints.trim();
  if (!simple) return command("deploy", `${form.name || "workload"}.json`);
  return command(
    "run", form.image.trim() || "IMAGE", "--name", form.name || "NAME", "--replicas", form.replicas, "--cpu", form.cpu, "--memory", form.memory,
    ...lines(form.env).flatMap((line) => ["--env", line]),
    ...(form.command.trim() ? ["--", ...form.command.trim().split(/\s+/)] : []),
  );
}
