// The stages of a resource's making as they stand, from the steps of its operation; and whether it can be changed now.

import type { Operation, Resource } from "../../api/client";

const LABELS: Record<string, string> = {
  init: "Check and reserve", allocate: "Allocate", configure: "Configure", provision: "Provision", verify: "Verify", complete: "Complete",
};

export type StageState = "done" | "doing" | "waiting" | "failed" | "undone";

export interface Stage {
  readonly name: string;
  readonly label: string;
  readonly state: StageState;
}

/** Each stage once, in order. The one that failed stays marked when what was made has been taken back. */
export function stagesOf(steps: Operation["steps"]): Stage[] {
  return steps.map(({ stage, status, error }): Stage => {
    const state: StageState = error && status !== "doing" && status !== "done" ? "failed" : status === "undoing" ? "undone" : (status ?? "waiting");
    return { name: stage, label: LABELS[stage] ?? stage, state };
  });
}

/** Why a resource cannot be changed now; nothing when it can. `operation` is its last change. */
export function busy(resource: Resource, operation: Operation | undefined): string | null {
  switch (resource.status) {
    case "PROVISIONING":
      return "it is being made";
    case "MAINTENANCE":
      return "it is being changed";
    case "FAILED":
      return "it could not be made; destroy it and make it again";
    case "DELETED":
      return "it is gone";
    default:
      // Some changes leave it serving while they go on.
      return operation?.status === "running" ? "a change of it is under way" : null;
  }
}
