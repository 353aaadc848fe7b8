import { describe, expect, it } from "vitest";

import { argumentsOf, fieldsOf, type Schema } from "./schema-form";

const schema: Schema = {
  type: "object",
  properties: {
    note: { type: "string" }, name: { type: "string" }, replicas: { type: "integer" }, dry: { type: "boolean" }, mode: { enum: ["a", "b"] },
    words: { type: "array", items: { type: "string" } }, spec: { type: "object" }, either: { type: ["string", "null"] },
  },
  required: ["name"],
};

describe("forms from schemas", () => {
  const fields = fieldsOf(schema);
  it("has a field for each property, what is needed first", () => {
    expect(fields.map((field) => [field.name, field.kind])).toEqual([
      ["name", "text"], ["note", "text"], ["replicas", "number"], ["dry", "boolean"], ["mode", "choice"], ["words", "words"], ["spec", "json"], ["either", "text"],
    ]);
  });
  it("reads what was filled in and leaves out what was not", () => {
    expect(argumentsOf(fields, { name: "web", replicas: "3", dry: "false", mode: "b", words: "a\n b \n", spec: '{"x":1}', note: " " })).toEqual({
      args: { name: "web", replicas: 3, dry: false, mode: "b", words: ["a", "b"], spec: { x: 1 } }, faults: {},
    });
  });
  it("names what is missing or wrong", () => {
    expect(Object.keys(argumentsOf(fields, { replicas: "many", spec: "{" }).faults).toSorted()).toEqual(["name", "replicas", "spec"]);
  });
  it("a tool without arguments has no fields", () => expect(fieldsOf({ type: "object" })).toEqual([]));
});
