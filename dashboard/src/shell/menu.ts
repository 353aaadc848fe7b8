// The views of the menu. A view stands here only if it works.

import type { IconName } from "../ui/icons";
import { GO_TO, type Path } from "./keys";

interface Entry {
  readonly to: Path;
  readonly label: string;
  readonly icon: IconName;
  readonly key: string;
}

function entry(to: Path, icon: IconName): Entry {
  const [key, , label] = GO_TO.find(([, path]) => path === to) ?? ["", to, to];
  return { to, label, icon, key };
}

export const MENU: readonly { readonly title: string; readonly entries: readonly Entry[] }[] = [
  { title: "Cluster", entries: [entry("/", "overview"), entry("/workloads", "workloads"), entry("/resources", "resources"), entry("/nodes", "nodes"), entry("/network", "network")] },
  { title: "Run", entries: [entry("/deploy", "deploy"), entry("/catalogue", "catalogue"), entry("/scheduler", "scheduler"), entry("/topology", "topology")] },
  { title: "Activity", entries: [entry("/events", "events"), entry("/operations", "operations"), entry("/plans", "plans"), entry("/audit", "audit")] },
  { title: "Access", entries: [entry("/secrets", "secrets"), entry("/tokens", "tokens"), entry("/console", "console")] },
];
