// How much of something is taken: a bar with its numbers.

interface Props {
  label: string;
  used: number | null;
  total: number | null;
  write: (value: number | null) => string;
}

export function Meter({ label, used, total, write }: Props) {
  const share = used !== null && total ? Math.min(1, used / total) : 0;
  const colour = share > 0.95 ? "fill-bad" : share > 0.8 ? "fill-warn" : "fill-fill";
  return (
    <div className="grid gap-1">
      <div className="flex items-baseline justify-between gap-3">
        <span className="text-dim">{label}</span>
        <span className="whitespace-nowrap">
          {write(used)} <span className="text-dim">of {write(total)}</span>
        </span>
      </div>
      <svg viewBox="0 0 100 2" preserveAspectRatio="none" role="img" aria-label={`${label}: ${Math.round(share * 100)} % requested`} className="h-1.5 w-full overflow-hidden rounded-full bg-raised">
        <rect width={share * 100} height="2" className={colour} />
      </svg>
    </div>
  );
}
