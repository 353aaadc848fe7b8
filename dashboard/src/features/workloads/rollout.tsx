// A rollout as a bar: which of the wanted instances are ready in the new version, which exist, which are missing.

import type { Workload } from "../../api/client";

export function Rollout({ workload }: { workload: Workload }) {
  const { replicas, ready, updated, instances, message, version } = workload;
  const total = Math.max(replicas, instances, 1);
  const done = Math.min(ready, updated);
  const part = (count: number) => (count / total) * 100;
  return (
    <div className="grid gap-1">
      <svg
        viewBox="0 0 100 2"
        preserveAspectRatio="none"
        role="img"
        aria-label={`version ${version}: ${updated} of ${replicas} updated, ${ready} ready`}
        className="h-2 w-full overflow-hidden rounded-full bg-raised"
      >
        <rect width={part(Math.min(instances, total))} height="2" className="fill-line" />
        <rect width={part(updated)} height="2" className="fill-info opacity-60" />
        <rect width={part(done)} height="2" className="fill-ok" />
      </svg>
      <p className="text-[0.86rem] text-dim">
        {ready} of {replicas} ready, {updated} in version {version}
        {message ? `. ${message}` : ""}
      </p>
    </div>
  );
}
