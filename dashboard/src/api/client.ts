// Requests to the public API, typed by the committed OpenAPI document. Nothing else in the dashboard calls `fetch`
// for JSON.

import createClient from "openapi-fetch";

import { problemFrom } from "./problem";
import type { components, paths } from "./schema";
import { credentials } from "./session";

export type Schemas = components["schemas"];
export type Workload = Schemas["WorkloadView"];
export type WorkloadSpec = Schemas["WorkloadSpec"];
export type Instance = Schemas["InstanceView"];
export type Node = Schemas["NodeView"];
export type Operation = Schemas["OperationView"];
export type Plan = Schemas["Plan"];
export type Resource = Schemas["ResourceView"];
export type Template = Schemas["TemplateView"];
export type Quota = Schemas["Quota"];
export type Amount = Schemas["Amount"];
export type ClusterEvent = Schemas["EventView"];
export type Finding = Schemas["Page_Problem"]["items"][number];
export type Revision = Schemas["RevisionView"];
export type Audit = Schemas["AuditView"];
export type Secret = Schemas["SecretView"];
export type Token = Schemas["TokenView"];
export type Explanation = Schemas["Explanation"];
export type CallerInfo = Schemas["CallerView"];

export const api = createClient<paths>({
  baseUrl: location.origin,
  // Looked up at every call, so that a page of tests may stand in for it.
  fetch: (request) => globalThis.fetch(request),
});

api.use({
  onRequest({ request }) {
    for (const [name, value] of Object.entries(credentials())) request.headers.set(name, value);
    return request;
  },
});

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of a successful answer; an `ApiProblem` is thrown for any other. */
export async function taken<T>(asked: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await asked;
  if (!response.ok) throw problemFrom(response.status, error);
  return data as T;
}

/** Whether an answer to a write with `dry_run` is a plan. */
export function isPlan(value: unknown): value is Plan {
  return typeof value === "object" && value !== null && "plan_id" in value && "digest" in value;
}
