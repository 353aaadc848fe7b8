// Sorting of table rows: stable, numbers as numbers, texts with their numbers (`web-2` before `web-10`).

export interface Sorting {
  readonly column: string;
  readonly down: boolean;
}

export type SortValue = string | number | null | undefined;

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

export function compare(a: SortValue, b: SortValue): number {
  // What is not there comes last in either direction of thought: after everything.
  const none = (value: SortValue) => value === null || value === undefined || value === "";
  if (none(a) || none(b)) return Number(none(a)) - Number(none(b));
  if (typeof a === "number" && typeof b === "number") return a - b;
  return collator.compare(String(a), String(b));
}

export function sorted<T>(rows: readonly T[], value: (row: T) => SortValue, down: boolean): T[] {
  return rows.toSorted((a, b) => (down ? compare(value(b), value(a)) : compare(value(a), value(b))));
}

/** The sorting after a click on a column's heading. */
export function turned(before: Sorting | null, column: string): Sorting {
  return { column, down: before?.column === column ? !before.down : false };
}

/** A sorting as it stands in an address: the column, with a minus before it for downwards. */
export function written({ column, down }: Sorting): string {
  return `${down ? "-" : ""}${column}`;
}

export function readSorting(text: string | undefined): Sorting | null {
  if (!text) return null;
  const down = text.startsWith("-");
  return { column: down ? text.slice(1) : text, down };
}

/** Whether every word of the query is somewhere in the texts. */
export function matches(query: string, ...texts: (string | null | undefined)[]): boolean {
  if (query.trim() === "") return true;
  const all = texts.join("\u0000").toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}
