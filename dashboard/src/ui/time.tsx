// A time: relative in the text, exact on hover and for assistive technology.

import { useNow } from "./clock";
import { ago, exact } from "./format";

export function Ago({ at }: { at: string | number | null | undefined }) {
  const now = useNow();
  if (at === null || at === undefined) return <span className="text-dim">never</span>;
  const time = typeof at === "number" ? at : Date.parse(at);
  if (Number.isNaN(time)) return <span className="text-dim">unknown</span>;
  return (
    <time dateTime={new Date(time).toISOString()} title={exact(time)} className="whitespace-nowrap">
      {ago(time, Math.max(now, time > now + 2000 ? now : time))}
    </time>
  );
}
