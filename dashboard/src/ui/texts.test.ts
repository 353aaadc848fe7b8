import { describe, expect, it } from "vitest";

import { command, commandsFor, quoted } from "./cli";
import { differences } from "./diff";

describe("command lines", () => {
  it("are quoted so that a shell reads them back", () => {
    expect(quoted("web")).toBe("web");
    expect(quoted("a b")).toBe("'a b'");
    expect(quoted("it's; rm -rf /")).toBe("'it'\\''s; rm -rf /'");
    expect(quoted("")).toBe("''");
    expect(quoted("$(id)")).toBe("'$(id)'");
    expect(command("scale", "web=3", null, false, "--detach")).toBe("univrs scale web=3 --detach");
  });
  it("name the organisation that was chosen", () => {
    commandsFor("acme");
    expect(command("exec", "web", "--", "ls")).toBe("univrs --org acme exec web -- ls");
    commandsFor(null);
    expect(command("ls")).toBe("univrs ls");
  });
});

describe("differences", () => {
  it("names the fields that differ", () => {
    expect(differences({ a: 1, b: { c: [1, 2] } }, { a: 1, b: { c: [1, 3] } })).toEqual([{ path: "b.c[1]", before: 2, after: 3 }]);
  });
  it("shows what is new or gone leaf by leaf", () => {
    expect(differences(null, { name: "web", spec: { replicas: 2, image: null } })).toEqual([
      { path: "name", before: undefined, after: "web" },
      { path: "spec.replicas", before: undefined, after: 2 },
    ]);
    expect(differences({ a: { b: 1 } }, {})).toEqual([{ path: "a.b", before: 1, after: undefined }]);
  });
  it("null and nothing are the same", () => expect(differences({ a: null }, {})).toEqual([]));
  it("an array in place of an object is a difference", () => expect(differences({ a: {} }, { a: [] })).toHaveLength(1));
});
