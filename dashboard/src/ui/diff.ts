// What differs between two documents, field by field, for plans and conflicts.

export interface Difference {
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** Every leaf that differs. A leaf that is absent on one side is `undefined` there. */
export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  if (Object.is(before, after)) return [];
  if (isBranch(before) && isBranch(after) && Array.isArray(before) === Array.isArray(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...keys].flatMap((key) =>
      differences((before as Record<string, unknown>)[key], (after as Record<string, unknown>)[key], join(before, path, key)),
    );
  }
  // Nothing and null mean the same to the server.
  if ((before ?? null) === null && (after ?? null) === null) return [];
  if (isBranch(before) && (after ?? null) === null) return leaves(before, path).map(([at, value]) => ({ path: at, before: value, after: undefined }));
  if (isBranch(after) && (before ?? null) === null) return leaves(after, path).map(([at, value]) => ({ path: at, before: undefined, after: value }));
  return [{ path, before, after }];
}

function isBranch(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function join(parent: object, path: string, key: string): string {
  if (Array.isArray(parent)) return `${path}[${key}]`;
  return path === "" ? key : `${path}.${key}`;
}

function leaves(value: unknown, path: string): [string, unknown][] {
  if (!isBranch(value)) return value === null || value === undefined ? [] : [[path, value]];
  const entries = Object.entries(value);
  return entries.flatMap(([key, inner]) => leaves(inner, join(value, path, key)));
}

/** A leaf as text. */
export function shown(value: unknown): string {
  if (value === undefined || value === null) return "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}
