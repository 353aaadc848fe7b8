// How values are written: every number with its unit, every time relative with the exact one at hand.

const UNITS: Record<string, number> = {
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50,
  k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12,
};

/** Bytes of a quantity such as `128Mi`, `1024` or a number; null for what is none. */
export function bytesOf(quantity: string | number | null | undefined): number | null {
  if (typeof quantity === "number") return quantity;
  const found = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(quantity ?? "");
  if (!found) return null;
  const unit = found[2] ?? "";
  const factor = unit === "" ? 1 : UNITS[unit];
  return factor === undefined ? null : Number(found[1]) * factor;
}

/** Cores of a quantity such as `250m`, `2` or `0.25`; null for what is none. */
export function coresOf(quantity: string | number | null | undefined): number | null {
  if (typeof quantity === "number") return quantity;
  const found = /^(\d+(?:\.\d+)?)(m?)$/.exec(quantity ?? "");
  if (!found) return null;
  return Number(found[1]) / (found[2] ? 1000 : 1);
}

/** `1.5 GiB`, `96 MiB`, `12 B`. */
export function bytes(count: number | null): string {
  if (count === null) return "unknown";
  const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = count;
  let at = 0;
  while (value >= 1024 && at < names.length - 1) {
    value /= 1024;
    at += 1;
  }
  const digits = at === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${trim(value.toFixed(digits))} ${names[at]}`;
}

/** `2 cores`, `250 m` (thousandths of a core). */
export function cores(count: number | null): string {
  if (count === null) return "unknown";
  if (count > 0 && count < 1) return `${Math.round(count * 1000)} m`;
  return `${trim(count.toFixed(2))} ${count === 1 ? "core" : "cores"}`;
}

function trim(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** `1 instance`, `3 instances`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** `1,000,000`. The browser's own formatter takes longer to begin with than a first view has to spare. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

const STEPS: [seconds: number, name: string][] = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** `12 s ago`, `in 4 min`, `just now`. */
export function ago(at: number, now: number): string {
  const seconds = Math.round(Math.abs(now - at) / 1000);
  if (seconds < 2) return "just now";
  const [size, name] = STEPS.find(([size]) => seconds >= size) ?? [1, "s"];
  const text = `${Math.floor(seconds / size)} ${name}`;
  return at <= now ? `${text} ago` : `in ${text}`;
}

/** The exact time, in UTC as everything in Univrs. */
export function exact(at: number): string {
  return new Date(at).toISOString().replace("T", " ").replace(/\.(\d{3})\d*Z$/, ".$1 UTC");
}

/** `12 Jan, 14:03:22.123` becomes only the time of day with milliseconds: for lists of one day. */
export function clock(at: number): string {
  return new Date(at).toISOString().slice(11, 23);
}

/** Money as the server sends it, a decimal text, with its currency. */
export function money(amount: string | number | null | undefined, currency = "USD"): string {
  if (amount === null || amount === undefined || amount === "") return "unknown";
  const value = Number(amount);
  if (!Number.isFinite(value)) return "unknown";
  return new Intl.NumberFormat("en", { style: "currency", currency, maximumFractionDigits: 2 }).format(value);
}

/** A value of a document as text: what is no text is written as JSON. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
