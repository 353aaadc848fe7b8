// The form of a template's parameters as values: its fields with their defaults, what is wrong with what was typed, and
// the parameters it stands for. The server checks everything again.

import { bytesOf, coresOf, textOf } from "../../ui/format";
import { argumentsOf, type Field, fieldsOf, type Schema } from "../console/schema-form";

export interface Parameter extends Schema {
  pattern?: string;
  maxLength?: number;
  "x-univrs-minimum"?: string | number;
  "x-univrs-maximum"?: string | number;
  "x-univrs-scalable"?: boolean;
  "x-univrs-lines"?: boolean;
}

export type Values = Readonly<Record<string, string>>;

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

function properties(schema: Schema): Record<string, Parameter> {
  return (schema.properties ?? {});
}

/** The fields of a template's schema; only what can be changed later with `scalable`. */
export function parameterFields(schema: Schema, scalable = false): Field[] {
  const known = properties(schema);
  return fieldsOf(schema)
    .filter((field) => !scalable || known[field.name]?.["x-univrs-scalable"] === true)
    .map((field) => ({ ...field, kind: field.kind === "json" ? "text" : field.kind, required: false, lines: known[field.name]?.["x-univrs-lines"] === true, description: hintOf(field.description, known[field.name]) }));
}

function hintOf(description: string, parameter: Parameter | undefined): string {
  const [least, most] = bounds(parameter);
  if (least === undefined && most === undefined) return description;
  const range = least === undefined ? `at most ${most}` : most === undefined ? `at least ${least}` : `${least} to ${most}`;
  return `${description} ${range[0]?.toUpperCase()}${range.slice(1)}.`.trim();
}

function bounds(parameter: Parameter | undefined) {
  return [parameter?.minimum ?? parameter?.["x-univrs-minimum"], parameter?.maximum ?? parameter?.["x-univrs-maximum"]] as const;
}

/** What stands in the fields before anybody typed: `known` values, then defaults. */
export function initial(schema: Schema, known: Readonly<Record<string, unknown>> = {}): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, parameter] of Object.entries(properties(schema))) {
    const value = known[name] ?? parameter.default;
    if (value !== undefined && value !== null) values[name] = textOf(value);
  }
  return values;
}

/** The parameters that were filled in, or the fault of each field. */
export function parametersOf(schema: Schema, fields: readonly Field[], values: Values): { parameters: Record<string, unknown>; faults: Record<string, string> } {
  const known = properties(schema);
  const { args, faults } = argumentsOf(fields, values);
  for (const name of schema.required ?? []) {
    if (fields.some((field) => field.name === name) && !(name in args) && !(name in faults)) faults[name] = "It is needed.";
  }
  for (const [name, value] of Object.entries(args)) {
    const fault = faultOf(known[name], value);
    if (fault) faults[name] = fault;
  }
  return { parameters: args, faults };
}

function faultOf(parameter: Parameter | undefined, value: unknown): string | null {
  if (!parameter) return null;
  if (parameter.type === "integer" && !Number.isInteger(value)) return "A whole number.";
  if (typeof value === "string" && parameter.pattern && !new RegExp(parameter.pattern, "u").test(value)) {
    return parameter.pattern.includes("m?") ? "Cores such as 0.5, or thousandths such as 250m." : parameter.pattern.includes("]i") ? "A size such as 128Mi or 1Gi." : `It has to fit ${parameter.pattern}.`;
  }
  if (typeof value === "string" && parameter.maxLength && value.length > parameter.maxLength) return `At most ${parameter.maxLength} characters.`;
  const [least, most] = bounds(parameter);
  const measured = measure(value);
  if (measured === null) return null;
  if (least !== undefined && measured < (measure(least) ?? -Infinity)) return `At least ${least}.`;
  if (most !== undefined && measured > (measure(most) ?? Infinity)) return `At most ${most}.`;
  return null;
}

/** A number or a quantity as one number, to be compared with another of its kind. */
function measure(value: unknown): number | null {
  if (typeof value === "number") return value;
  if (typeof value !== "string") return null;
  return coresOf(value) ?? bytesOf(value);
}

/** What is wrong with a name, as far as this page knows. */
export function nameFault(name: string, taken: boolean): string | null {
  if (name === "") return "Say what to call it.";
  if (!NAME.test(name)) return "Lower-case letters, digits and hyphens, at most 63.";
  return taken ? "There is a resource of this name. Choose another." : null;
}

/** Only the parameters that differ from the template's own. */
export function changed(schema: Schema, parameters: Readonly<Record<string, unknown>>, before: Values = initial(schema)): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parameters).filter(([name, value]) => textOf(value) !== before[name]));
}

/** `--set name=value` for each. */
export function settings(parameters: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(parameters).flatMap(([name, value]) => ["--set", `${name}=${textOf(value)}`]);
}
