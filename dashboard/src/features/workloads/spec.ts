// What views read out of a workload's specification.

import type { Instance, WorkloadSpec } from "../../api/client";

export function imagesOf(spec: WorkloadSpec): string[] {
  const containers = (spec.containers ?? []).map((container) => container.image);
  return containers.length > 0 ? containers : spec.image ? [spec.image] : [];
}

/** The instances of a workload, those that live first, then the newest. */
export function instancesOf(instances: ReadonlyMap<string, Instance>, workload: string): Instance[] {
  const ended = (instance: Instance) => Number(["stopped", "failed", "lost"].includes(instance.phase));
  return [...instances.values()]
    .filter((instance) => instance.workload === workload)
    .toSorted((a, b) => ended(a) - ended(b) || b.created_at.localeCompare(a.created_at) || a.id.localeCompare(b.id));
}

/** A patch that changes the image where it stands: in the short form or in the first container. */
export function imagePatch(spec: WorkloadSpec, image: string): Record<string, unknown> {
  const [first, ...rest] = spec.containers ?? [];
  return first ? { containers: [{ ...first, image }, ...rest] } : { image };
}
