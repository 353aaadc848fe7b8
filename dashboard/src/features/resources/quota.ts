// What an organisation's resources may use together, and what they would use with one more. The server decides; this
// shows it before it is asked.

import type { Amount, Quota, Resource } from "../../api/client";
import { bytes, bytesOf, cores, coresOf } from "../../ui/format";

export interface Share {
  readonly label: string;
  readonly used: number;
  readonly wanted: number;
  /** None when it is not bounded. */
  readonly most: number | null;
  readonly write: (value: number | null) => string;
}

/** The shares of a quota, with what `wanted` would add; the resource `instead` is not counted. */
export function shares(quota: Quota, resources: Iterable<Resource>, wanted: Amount | null, instead?: string): Share[] {
  const counted = [...resources].filter((one) => one.status !== "FAILED" && one.status !== "DELETED" && one.name !== instead);
  const sum = (read: (amount: Amount) => number | null) => counted.reduce((total, one) => total + (read(one.footprint.limits) ?? 0), 0);
  const cpu = (amount: Amount) => coresOf(amount.cpu);
  const memory = (amount: Amount) => bytesOf(amount.memory);
  const storage = (amount: Amount) => bytesOf(amount.storage);
  const whole = (value: number | null) => (value === null ? "unknown" : String(value));
  const of = (read: (amount: Amount) => number | null) => (wanted ? (read(wanted) ?? 0) : 0);
  return [
    { label: "Resources", used: counted.length, wanted: wanted ? 1 : 0, most: quota.resources ?? null, write: whole },
    { label: "CPU", used: sum(cpu), wanted: of(cpu), most: coresOf(quota.cpu), write: cores },
    { label: "Memory", used: sum(memory), wanted: of(memory), most: bytesOf(quota.memory), write: bytes },
    { label: "Disk", used: sum(storage), wanted: of(storage), most: bytesOf(quota.storage), write: bytes },
  ];
}

export function isOver(share: Share): boolean {
  return share.most !== null && share.used + share.wanted > share.most;
}

/** The limits of the resource that a plan makes or changes; null when the plan does not show them. */
export function wantedBy(changes: readonly { kind: string; after?: unknown }[]): Amount | null {
  const made = changes.find((change) => change.kind === "resource")?.after as { deployment?: { footprint?: { limits?: Amount } } } | null | undefined;
  return made?.deployment?.footprint?.limits ?? null;
}
