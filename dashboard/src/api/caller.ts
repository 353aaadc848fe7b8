// Who asks, and what the server lets them do. The server decides; this only saves a click that it would refuse.

import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, type CallerInfo, taken } from "./client";

export const callerQuery = queryOptions({
  queryKey: ["caller"],
  queryFn: () => taken(api.GET("/api/caller")),
  staleTime: 60_000,
  retry: false,
});

export type Can = (action: string) => string | null;

/** Why the caller may not do this; null when it may. */
export function refusal(caller: CallerInfo | undefined, action: string): string | null {
  if (!caller) return "it is not known yet what you may do";
  if (caller.can.includes(action)) return null;
  return `your access does not include ${action.replace("_", " ")}`;
}

export function useCan(): Can {
  const { data } = useQuery(callerQuery);
  return (action) => refusal(data, action);
}

/** Whether both are the same asker: a plan is bound to who made it. */
export function isSame(a: CallerInfo["principal"] | null | undefined, b: CallerInfo["principal"] | null | undefined): boolean {
  if (!a || !b || a.kind !== b.kind) return false;
  return !("id" in a) || !("id" in b) || a.id === b.id;
}

/** Who it is, in words. */
export function callerName(principal: CallerInfo["principal"] | null | undefined): string {
  switch (principal?.kind) {
    case "local_admin":
      return "local administrator";
    case "token":
      return `token ${principal.id}`;
    case "assistant":
      return `assistant (${principal.grant})`;
    case "control":
      return `control plane: ${principal.loop}`;
    case "node":
      return `node ${principal.id}`;
    case undefined:
      return "unknown";
  }
}
