// All addresses of the dashboard. Every state of a view that one may want to send to somebody stands in its address.

import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";

import { Overview } from "./features/overview/overview";
import { WorkloadList } from "./features/workloads/list";
import { Layout } from "./shell/layout";
import { Empty, Failed, Loading } from "./ui/states";

const root = createRootRoute({
  component: Layout,
  notFoundComponent: () => (
    <Empty icon="search" title="There is no such view">
      The address is not one of this dashboard. The menu has all views.
    </Empty>
  ),
});

type Search = Record<string, unknown>;
const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);
const number = (value: unknown) => (typeof value === "number" ? String(value) : text(value));

interface Listed {
  q?: string;
  status?: string;
  sort?: string;
}

/** What a list has in its address: the filter, the state that is looked for, the sorting. */
const listed = (search: Search): Listed => ({ q: number(search.q), status: text(search.status), sort: text(search.sort) });

const index = createRoute({ getParentRoute: () => root, path: "/", component: Overview });

const workloads = createRoute({
  getParentRoute: () => root,
  path: "/workloads",
  validateSearch: listed,
  component: WorkloadList,
});

export const TABS = ["summary", "logs", "terminal", "events", "why", "history", "spec"] as const;
export type Tab = (typeof TABS)[number];
const tab = (value: unknown) => TABS.find((one) => one === value && one !== "summary");

const workload = createRoute({
  getParentRoute: () => root,
  path: "/workloads/$name",
  validateSearch: (search: Search): { tab?: Tab; instance?: string; q?: string } => ({
    tab: tab(search.tab),
    instance: text(search.instance),
    q: number(search.q),
  }),
  component: lazyRouteComponent(() => import("./features/workloads/detail"), "WorkloadDetail"),
});

const resources = createRoute({
  getParentRoute: () => root,
  path: "/resources",
  validateSearch: listed,
  component: lazyRouteComponent(() => import("./features/resources/list"), "ResourceList"),
});

export const RESOURCE_TABS = ["summary", "credentials", "backups", "logs"] as const;
export type ResourceTab = (typeof RESOURCE_TABS)[number];

const resource = createRoute({
  getParentRoute: () => root,
  path: "/resources/$name",
  validateSearch: (search: Search): { tab?: ResourceTab } => ({ tab: RESOURCE_TABS.find((one) => one === search.tab && one !== "summary") }),
  component: lazyRouteComponent(() => import("./features/resources/detail"), "ResourceDetail"),
});

const catalogue = createRoute({
  getParentRoute: () => root,
  path: "/catalogue",
  validateSearch: (search: Search): { template?: string; step?: "review"; kind?: string; q?: string } => ({
    template: text(search.template),
    step: search.step === "review" ? "review" : undefined,
    kind: text(search.kind),
    q: number(search.q),
  }),
  component: lazyRouteComponent(() => import("./features/resources/wizard"), "Wizard"),
});

const deploy = createRoute({
  getParentRoute: () => root,
  path: "/deploy",
  component: lazyRouteComponent(() => import("./features/deploy/deploy"), "Deploy"),
});

const nodes = createRoute({
  getParentRoute: () => root,
  path: "/nodes",
  validateSearch: listed,
  component: lazyRouteComponent(() => import("./features/nodes/list"), "NodeList"),
});

const node = createRoute({
  getParentRoute: () => root,
  path: "/nodes/$id",
  component: lazyRouteComponent(() => import("./features/nodes/detail"), "NodeDetail"),
});

const network = createRoute({
  getParentRoute: () => root,
  path: "/network",
  validateSearch: (search: Search): { node?: string; q?: string; topic?: string } => ({ node: text(search.node), q: number(search.q), topic: text(search.topic) }),
  component: lazyRouteComponent(() => import("./features/network/network"), "Network"),
});

const events = createRoute({
  getParentRoute: () => root,
  path: "/events",
  validateSearch: (search: Search): Listed & { severity?: string; at?: string } => ({ ...listed(search), severity: text(search.severity), at: number(search.at) }),
  component: lazyRouteComponent(() => import("./features/events/events"), "Events"),
});

const scheduler = createRoute({
  getParentRoute: () => root,
  path: "/scheduler",
  validateSearch: (search: Search): { workload?: string } => ({ workload: text(search.workload) }),
  component: lazyRouteComponent(() => import("./features/scheduler/scheduler"), "Scheduler"),
});

const topology = createRoute({
  getParentRoute: () => root,
  path: "/topology",
  component: lazyRouteComponent(() => import("./features/topology/topology"), "Topology"),
});

const operations = createRoute({
  getParentRoute: () => root,
  path: "/operations",
  validateSearch: (search: Search): Listed & { id?: string } => ({ ...listed(search), id: text(search.id) }),
  component: lazyRouteComponent(() => import("./features/operations/operations"), "Operations"),
});

const plans = createRoute({
  getParentRoute: () => root,
  path: "/plans",
  validateSearch: (search: Search): { q?: string; id?: string } => ({ q: number(search.q), id: text(search.id) }),
  component: lazyRouteComponent(() => import("./features/plans/plans"), "Plans"),
});

const audit = createRoute({
  getParentRoute: () => root,
  path: "/audit",
  validateSearch: listed,
  component: lazyRouteComponent(() => import("./features/audit/audit"), "AuditLog"),
});

const secrets = createRoute({
  getParentRoute: () => root,
  path: "/secrets",
  validateSearch: listed,
  component: lazyRouteComponent(() => import("./features/secrets/secrets"), "Secrets"),
});

const tokens = createRoute({
  getParentRoute: () => root,
  path: "/tokens",
  validateSearch: listed,
  component: lazyRouteComponent(() => import("./features/tokens/tokens"), "Tokens"),
});

const consoleRoute = createRoute({
  getParentRoute: () => root,
  path: "/console",
  validateSearch: (search: Search): { tool?: string; mode?: "operate" | "admin" } => ({
    tool: text(search.tool),
    mode: (["operate", "admin"] as const).find((one) => one === search.mode),
  }),
  component: lazyRouteComponent(() => import("./features/console/console"), "Console"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    index, workloads, workload, resources, resource, catalogue, deploy, nodes, node, network, events, scheduler, topology, operations, plans, audit, secrets,
    tokens, consoleRoute,
  ]),
  defaultPreload: "intent",
  defaultPendingComponent: Loading,
  defaultErrorComponent: ({ error, reset }) => <Failed error={error} retry={reset} />,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
