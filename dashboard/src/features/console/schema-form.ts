// A form from a tool's JSON Schema: which fields there are, and the arguments that the filled form stands for. Scalars
// and lists of words have fields of their own; everything deeper is written as JSON.

export interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  enum?: unknown[];
  items?: Schema;
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
}

export type FieldKind = "text" | "number" | "boolean" | "choice" | "words" | "json";

export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly required: boolean;
  readonly description: string;
  readonly choices: readonly string[];
  /** A text of several lines, such as a file. */
  readonly lines?: boolean;
}

export function fieldsOf(schema: Schema): Field[] {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties ?? {}).map(([name, property]): Field => ({
    name,
    kind: kindOf(property),
    required: required.has(name),
    description: property.description ?? "",
    choices: (property.enum ?? []).map(String),
    // What is called so is a file's.
    ...(name === "text" ? { lines: true } : {}),
  }));
  return fields.toSorted((a, b) => Number(b.required) - Number(a.required));
}

function kindOf(schema: Schema): FieldKind {
  if (schema.enum) return "choice";
  const types = Array.isArray(schema.type) ? schema.type.filter((type) => type !== "null") : [schema.type];
  if (types.length !== 1) return "json";
  switch (types[0]) {
    case "string":
      return "text";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "array":
      return schema.items?.type === "string" ? "words" : "json";
    default:
      return "json";
  }
}

/** The arguments, or the fault of each field. What is left empty is left out. */
export function argumentsOf(fields: readonly Field[], values: Readonly<Record<string, string>>): { args: Record<string, unknown>; faults: Record<string, string> } {
  const args: Record<string, unknown> = {};
  const faults: Record<string, string> = {};
  for (const { name, kind, required } of fields) {
    const text = values[name] ?? "";
    if (text.trim() === "") {
      if (required) faults[name] = "It is needed.";
      continue;
    }
    if (kind === "number") {
      if (Number.isFinite(Number(text))) args[name] = Number(text);
      else faults[name] = "A number.";
    } else if (kind === "boolean") {
      args[name] = text === "true";
    } else if (kind === "words") {
      args[name] = text.split("\n").map((line) => line.trim()).filter(Boolean);
    } else if (kind === "json") {
      try {
        args[name] = JSON.parse(text) as unknown;
      } catch {
        faults[name] = "This is not JSON.";
      }
    } else {
      args[name] = text;
    }
  }
  return { args, faults };
}
