// Keys of the whole page, as a pure function over what was typed so far. `palette` and go-to work everywhere but in
// fields; a go-to is `g` and a letter within a second.

export const GO_TO = [
  ["o", "/", "Overview"],
  ["w", "/workloads", "Workloads"],
  ["d", "/deploy", "Deploy"],
  ["r", "/resources", "Resources"],
  ["c", "/catalogue", "Catalogue"],
  ["n", "/nodes", "Nodes"],
  ["p", "/network", "Network"],
  ["e", "/events", "Events"],
  ["s", "/scheduler", "Scheduler"],
  ["t", "/topology", "Topology"],
  ["j", "/operations", "Operations"],
  ["a", "/plans", "Approvals"],
  ["u", "/audit", "Audit"],
  ["x", "/secrets", "Secrets"],
  ["k", "/tokens", "Tokens"],
  ["m", "/console", "MCP console"],
] as const;

export type Path = (typeof GO_TO)[number][1];

export interface Typed {
  readonly key: string;
  readonly at: number;
  readonly ctrl: boolean;
  readonly inField: boolean;
}

export type Command = { kind: "palette" } | { kind: "help" } | { kind: "filter" } | { kind: "go"; to: Path };

/** Milliseconds within which a letter belongs to the `g` before it. */
const TOGETHER = 1000;

/** What a key means, given when `g` was typed last. */
export function read(typed: Typed, leader: number | null): { command: Command | null; leader: number | null } {
  if (typed.ctrl) return { command: typed.key.toLowerCase() === "k" ? { kind: "palette" } : null, leader: null };
  if (typed.inField) return { command: null, leader: null };
  if (leader !== null && typed.at - leader <= TOGETHER) {
    const found = GO_TO.find(([letter]) => letter === typed.key);
    return { command: found ? { kind: "go", to: found[1] } : null, leader: null };
  }
  if (typed.key === "g") return { command: null, leader: typed.at };
  if (typed.key === "/") return { command: { kind: "filter" }, leader: null };
  if (typed.key === "?") return { command: { kind: "help" }, leader: null };
  return { command: null, leader: null };
}
