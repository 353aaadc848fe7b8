// What the orchestrator socket has told, as a pure value: a snapshot, then changes in order of revision. No clock, no
// socket; `feed.ts` drives it.

import type { ClusterEvent, Instance, Node, Operation, Resource, Workload } from "../api/client";

/** How many events are kept; the log view asks the server for older ones. */
export const KEPT_EVENTS = 5000;

export interface Picture {
  readonly revision: number;
  readonly workloads: ReadonlyMap<string, Workload>;
  readonly instances: ReadonlyMap<string, Instance>;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly operations: ReadonlyMap<string, Operation>;
  readonly resources: ReadonlyMap<string, Resource>;
  /** Oldest first. */
  readonly events: readonly ClusterEvent[];
  /** How many events came since the page was opened. */
  readonly heard: number;
}

export const EMPTY: Picture = {
  revision: 0,
  workloads: new Map(),
  instances: new Map(),
  nodes: new Map(),
  operations: new Map(),
  resources: new Map(),
  events: [],
  heard: 0,
};

export interface Message {
  type: string;
  revision?: number;
  at?: string;
  data?: unknown;
}

export type Outcome = { kind: "picture"; picture: Picture } | { kind: "resync" };

interface Snapshot {
  workloads?: Workload[];
  instances?: Instance[];
  nodes?: Node[];
  operations?: Operation[];
  resources?: Resource[];
}

/**
 * The picture after a batch of messages. `resync` when they cannot continue it: the server says so, or a message is
 * older than what is known.
 */
export function reduce(before: Picture, messages: readonly Message[]): Outcome {
  let picture = before;
  // Each map is copied at most once for a batch, so that a burst costs what it carries.
  const copied = new Set<Map<string, unknown>>();
  const writable = <T>(map: ReadonlyMap<string, T>): Map<string, T> => {
    if (copied.has(map as Map<string, unknown>)) return map as Map<string, T>;
    const copy = new Map(map);
    copied.add(copy);
    return copy;
  };
  let events: ClusterEvent[] | null = null;
  let heard = before.heard;
  for (const message of messages) {
    if (message.type === "resync") return { kind: "resync" };
    const revision = message.revision ?? picture.revision;
    if (message.type === "snapshot") {
      picture = { ...picture, ...fromSnapshot(message.data as Snapshot), revision };
      continue;
    }
    if (revision < picture.revision) return { kind: "resync" };
    const { workloads, instances, nodes, operations, resources } = picture;
    picture = { ...picture, revision };
    switch (message.type) {
      case "workload": {
        const workload = message.data as Workload;
        picture = { ...picture, workloads: writable(workloads).set(workload.name, workload) };
        break;
      }
      case "workload_removed":
        picture = { ...picture, workloads: without(writable(workloads), (message.data as { name: string }).name) };
        break;
      case "instance": {
        const instance = message.data as Instance;
        picture = { ...picture, instances: writable(instances).set(instance.id, instance) };
        break;
      }
      case "instance_removed":
        picture = { ...picture, instances: without(writable(instances), (message.data as { id: string }).id) };
        break;
      case "node": {
        const node = message.data as Node;
        picture = { ...picture, nodes: writable(nodes).set(node.id, node) };
        break;
      }
      case "node_removed":
        picture = { ...picture, nodes: without(writable(nodes), (message.data as { id: string }).id) };
        break;
      case "operation": {
        const operation = message.data as Operation;
        picture = { ...picture, operations: writable(operations).set(operation.id, operation) };
        break;
      }
      case "operation_removed":
        picture = { ...picture, operations: without(writable(operations), (message.data as { id: string }).id) };
        break;
      case "resource": {
        const resource = message.data as Resource;
        picture = { ...picture, resources: writable(resources).set(resource.name, resource) };
        break;
      }
      case "resource_removed":
        picture = { ...picture, resources: without(writable(resources), (message.data as { name: string }).name) };
        break;
      case "event":
        events ??= [...before.events];
        events.push({ ...(message.data as ClusterEvent), revision });
        heard += 1;
        break;
      default:
        // A newer server may tell more than this page knows.
        break;
    }
  }
  if (events) picture = { ...picture, events: events.slice(-KEPT_EVENTS), heard };
  return { kind: "picture", picture };
}

function fromSnapshot(data: Snapshot): Partial<Picture> {
  const by = <T>(list: T[] | undefined, key: (one: T) => string) => new Map((list ?? []).map((one) => [key(one), one]));
  return {
    workloads: by(data.workloads, (one) => one.name),
    instances: by(data.instances, (one) => one.id),
    nodes: by(data.nodes, (one) => one.id),
    operations: by(data.operations, (one) => one.id),
    resources: by(data.resources, (one) => one.name),
  };
}

function without<T>(map: Map<string, T>, key: string): Map<string, T> {
  map.delete(key);
  return map;
}

/** How long to wait before the next attempt, in milliseconds; `random` between 0 and 1 spreads many pages. */
export function backOff(attempt: number, random: number): number {
  const ceiling = Math.min(10_000, 250 * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling * (0.5 + random / 2));
}
