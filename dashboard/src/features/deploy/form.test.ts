import { describe, expect, it } from "vitest";

import { BLANK, faults, lineOf, specOf } from "./form";

const good = { ...BLANK, name: "web", image: "web:1" };
const free = () => false;

describe("the deploy form", () => {
  it("a good form has no faults", () => expect(faults(good, free)).toEqual({}));
  it.each([
    ["name", { name: "Web" }], ["name", { name: "" }], ["name", { name: "<b>x</b>" }], ["image", { image: " " }], ["image", { image: "a b" }],
    ["replicas", { replicas: "-1" }], ["cpu", { cpu: "lots" }], ["memory", { memory: "1 GB" }], ["port", { port: "70000" }], ["host", { host: "a.b" }],
    ["healthPath", { port: "80", healthPath: "healthz" }], ["cron", { kind: "cron" as const, cron: "* *" }], ["env", { env: "A=1\n=2" }],
  ])("names the field %s", (field, change) => expect(Object.keys(faults({ ...good, ...change }, free))).toEqual([field]));
  it("refuses a name that is taken", () => expect(faults(good, () => true).name).toMatch(/There is a workload/));
  it("says what the server is to run", () => {
    const spec = specOf({ ...good, port: "80", host: "web.localhost", healthPath: "/", env: "A=1=2\n\nB=", constraints: "cloud == aws", command: "-x 1" });
    expect(spec.containers?.[0]).toEqual({
      name: "app", image: "web:1", args: ["-x", "1"], env: { A: "1=2", B: "" }, ports: [{ name: "http", container_port: 80 }],
      resources: { cpu: "100m", memory: "64Mi" }, health: { http: { path: "/", port: 80 } },
    });
    expect(spec.ingress).toEqual([{ host: "web.localhost", port: "http" }]);
    expect(spec.placement).toEqual({ constraints: ["cloud == aws"] });
  });
  it("has the same as a command", () => {
    expect(lineOf({ ...good, replicas: "2", env: "A=b c" })).toBe("univrs run web:1 --name web --replicas 2 --cpu 100m --memory 64Mi --env 'A=b c'");
    expect(lineOf({ ...good, port: "80" })).toBe("univrs deploy web.json");
  });
});
