import { beforeEach, describe, expect, it, vi } from "vitest";

import type { Quota, Resource } from "../../api/client";
import { changed, initial, nameFault, parameterFields, parametersOf, type Parameter, settings } from "./form";
import { isOver, shares, wantedBy } from "./quota";
import { stagesOf } from "./stages";

const parameter = (of: Partial<Parameter>): Parameter => of;
const schema = {
  type: "object",
  properties: {
    database: parameter({ type: "string", pattern: "^[a-z][a-z0-9_]{0,39}$", default: "maindb", description: "Name." }),
    cpu: parameter({ type: ["string", "number"], pattern: "^[0-9]+(\\.[0-9]+)?m?$", default: "1", "x-univrs-minimum": "250m", "x-univrs-maximum": "2", "x-univrs-scalable": true, description: "Limit." }),
    memory: parameter({ type: ["string", "integer"], pattern: "^[0-9]+(\\.[0-9]+)?([KMGTP]i|[kMGTB])?$", default: "1Gi", "x-univrs-maximum": "4Gi", "x-univrs-scalable": true }),
    connections: parameter({ type: "integer", default: 100, minimum: 10, maximum: 500, "x-univrs-scalable": true }),
  },
};

describe("the form of a template", () => {
  const fields = parameterFields(schema);
  it("has a field for each parameter, with bounds in words and defaults filled in", () => {
    expect(fields.map(({ name, kind }) => [name, kind])).toEqual([["database", "text"], ["cpu", "text"], ["memory", "text"], ["connections", "number"]]);
    expect(fields[1]?.description).toBe("Limit. 250m to 2.");
    expect(initial(schema)).toEqual({ database: "maindb", cpu: "1", memory: "1Gi", connections: "100" });
    expect(initial(schema, { cpu: "500m" }).cpu).toBe("500m");
  });
  it("offers only what can be changed later for a change of size", () => {
    expect(parameterFields(schema, true).map((field) => field.name)).toEqual(["cpu", "memory", "connections"]);
  });
  it.each([
    [{ cpu: "500m", memory: "256Mi", connections: "20" }, []],
    [{ cpu: "100m" }, ["cpu"]],
    [{ cpu: "3" }, ["cpu"]],
    [{ cpu: "much" }, ["cpu"]],
    [{ memory: "8Gi", connections: "7" }, ["connections", "memory"]],
    [{ connections: "20.5", database: "Main" }, ["connections", "database"]],
    [{ connections: "many" }, ["connections"]],
    [{ cpu: "" }, []],
  ])("%o has faults in %o", (values, expected) => {
    expect(Object.keys(parametersOf(schema, fields, values).faults).toSorted()).toEqual(expected);
  });
  it("sends only what differs, as the command line would", () => {
    const { parameters } = parametersOf(schema, fields, { ...initial(schema), cpu: "500m" });
    expect(changed(schema, parameters)).toEqual({ cpu: "500m" });
    expect(settings({ cpu: "500m", connections: 20 })).toEqual(["--set", "cpu=500m", "--set", "connections=20"]);
  });
  it("a name is checked before it is asked for", () => {
    expect(nameFault("main-db", false)).toBeNull();
    for (const [name, taken] of [["", false], ["Main", false], ["-a", false], ["main", true]] as const) expect(nameFault(name, taken)).not.toBeNull();
  });
});

describe("quota", () => {
  const resource = (name: string, status: string, cpu: string) => ({ name, status, footprint: { limits: { cpu, memory: "1Gi", storage: "0" } } }) as unknown as Resource;
  const quota: Quota = { cpu: "2", resources: 2 };
  const known = [resource("a", "ACTIVE", "1500m"), resource("b", "FAILED", "8")];
  it("counts what is there and what is wanted, but nothing that failed", () => {
    const wanted = { cpu: "1", memory: "1Gi", storage: "0" };
    expect(shares(quota, known, wanted).map((share) => [share.label, share.used, share.wanted, share.most, isOver(share)])).toEqual([
      ["Resources", 1, 1, 2, false], ["CPU", 1.5, 1, 2, true], ["Memory", 2 ** 30, 2 ** 30, null, false], ["Disk", 0, 0, null, false],
    ]);
    expect(shares(quota, known, wanted, "a").some(isOver)).toBe(false);
  });
  it("reads what is wanted from the plan", () => {
    const limits = { cpu: "1", memory: "1Gi", storage: "0" };
    expect(wantedBy([{ kind: "operation" }, { kind: "resource", after: { deployment: { footprint: { limits } } } }])).toEqual(limits);
    expect(wantedBy([{ kind: "operation", after: {} }, { kind: "resource", after: null }])).toBeNull();
  });
});

describe("stages", () => {
  type Steps = Parameters<typeof stagesOf>[0];
  const states = (...statuses: string[]) =>
    stagesOf(statuses.map((text, at) => ({ name: "x", stage: ["init", "allocate", "odd"][at], progress: 0, status: text.replace("!", ""), error: text.endsWith("!") ? "it broke" : null })) as Steps).map((stage) => `${stage.label} ${stage.state}`);
  it("are done, under way or to come", () => expect(states("done", "doing!", "waiting")).toEqual(["Check and reserve done", "Allocate doing", "odd waiting"]));
  it("are taken back when one fails, which stays marked", () => expect(states("undoing", "undone!", "waiting")).toEqual(["Check and reserve undone", "Allocate failed", "odd waiting"]));
});

describe("the draft", () => {
  beforeEach(() => {
    const kept = new Map<string, string>();
    const store = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value), removeItem: (key: string) => void kept.delete(key) };
    // Keys of a real store can be listed as properties.
    vi.stubGlobal("sessionStorage", new Proxy(store, { ownKeys: () => [...kept.keys()], getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }) }));
    vi.resetModules();
    return () => vi.unstubAllGlobals();
  });
  it("outlives a session that ends and another sign-in, and is forgotten at a sign-out", async () => {
    const { dropDraft, keepDraft, readDraft } = await import("./draft");
    const { signIn, signOut } = await import("../../api/session");
    const draft = { name: "db", provider: "", values: { cpu: "1" } };
    keepDraft("redis", draft);
    signIn("another");
    expect(readDraft("redis")).toEqual(draft);
    signOut();
    expect(readDraft("redis")).toBeNull();
    keepDraft("redis", draft);
    dropDraft("redis");
    expect(readDraft("redis")).toBeNull();
  });
  it("is nothing when it is not one", async () => {
    const { readDraft } = await import("./draft");
    for (const text of ["", "null", "{", '{"name":1}', '{"name":"a","provider":"","values":{"x":1}}']) {
      sessionStorage.setItem("univrs.resource.x", text);
      expect(readDraft("x")).toBeNull();
    }
  });
});
