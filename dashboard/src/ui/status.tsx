// States as badges: a shape, a word and a colour, so that no one of them is needed alone.

import { Icon, type IconName } from "./icons";

export type Tone = "ok" | "warn" | "bad" | "info" | "quiet";

/** Which tone each state that the server names has. A state that is not listed is quiet. */
const TONES: Record<string, Tone> = {
  running: "ok", ready: "ok", healthy: "ok", passing: "ok", completed: "ok", succeeded: "ok", active: "ok", applied: "ok",
  live: "ok", approved: "ok", done: "ok",
  progressing: "info", starting: "info", pulling: "info", assigned: "info", reverting: "info", doing: "info", info: "info",
  draining: "info", connecting: "info", undoing: "info", ACTIVE: "ok", PROVISIONING: "info", DEGRADED: "warn",
  INACTIVE: "quiet", MAINTENANCE: "info", FAILED: "bad", DELETED: "quiet",
  pending: "warn", degraded: "warn", reverted: "warn", warning: "warn", cordoned: "warn", waiting_for_approval: "warn",
  expired: "warn", stale: "warn", unreachable: "warn", undone: "warn",
  failed: "bad", lost: "bad", failing: "bad", error: "bad", rejected: "bad", revoked: "bad", denied: "bad",
};

const SHAPES: Record<Tone, IconName> = { ok: "ok", warn: "warn", bad: "bad", info: "moving", quiet: "quiet" };

export function toneOf(state: string): Tone {
  return TONES[state] ?? "quiet";
}

export function Status({ state, label, tone }: { state: string; label?: string; tone?: Tone }) {
  const chosen = tone ?? toneOf(state);
  const shape: IconName = state === "info" ? "info" : SHAPES[chosen];
  return (
    <span className={`tone-${chosen} inline-flex items-center gap-1 rounded px-1.5 py-px text-[0.82rem] font-medium whitespace-nowrap`}>
      <Icon name={shape} className="size-3.5!" />
      {label ?? state.replaceAll("_", " ").toLowerCase()}
    </span>
  );
}
