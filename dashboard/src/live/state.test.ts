import { describe, expect, it } from "vitest";

import type { Workload } from "../api/client";
import { backOff, EMPTY, KEPT_EVENTS, type Message, type Picture, reduce } from "./state";

const workload = (name: string, ready = 0) => ({ name, ready }) as unknown as Workload;
const snapshot: Message = { type: "snapshot", revision: 5, data: { workloads: [workload("a"), workload("b")] } };

function after(before: Picture, ...messages: Message[]): Picture {
  const outcome = reduce(before, messages);
  if (outcome.kind !== "picture") throw new Error("resync");
  return outcome.picture;
}

describe("reduce", () => {
  it("takes a snapshot and then changes in order", () => {
    const picture = after(
      EMPTY,
      snapshot,
      { type: "workload", revision: 6, data: workload("a", 1) },
      { type: "workload_removed", revision: 7, data: { name: "b" } },
    );
    expect(picture.revision).toBe(7);
    expect([...picture.workloads.values()]).toEqual([workload("a", 1)]);
  });

  it("leaves the picture before it as it was", () => {
    const before = after(EMPTY, snapshot);
    const held = before.workloads;
    after(before, { type: "workload_removed", revision: 6, data: { name: "a" } });
    expect(held.size).toBe(2);
    expect(after(before, { type: "instance", revision: 6, data: { id: "in_1" } }).workloads).toBe(held);
  });

  it("asks to start again when told so, or when a message is older than the picture", () => {
    const before = after(EMPTY, snapshot);
    expect(reduce(before, [{ type: "resync" }]).kind).toBe("resync");
    expect(reduce(before, [{ type: "workload", revision: 4, data: workload("a") }]).kind).toBe("resync");
  });

  it("a new snapshot replaces what was known, even an older one of a server that was restored", () => {
    const before = after(EMPTY, snapshot);
    const picture = after(before, { type: "snapshot", revision: 1, data: { workloads: [workload("c")] } });
    expect([...picture.workloads.keys()]).toEqual(["c"]);
    expect(picture.revision).toBe(1);
  });

  it("keeps the last events of a burst and counts them all", () => {
    const burst = Array.from({ length: 50_000 }, (_, at): Message => ({ type: "event", revision: 10 + at, data: { message: String(at) } }));
    const begun = performance.now();
    const picture = after(after(EMPTY, snapshot), ...burst);
    expect(performance.now() - begun).toBeLessThan(10_000); // far beyond what it takes, and far below what a slip in its growth would
    expect(picture.events).toHaveLength(KEPT_EVENTS);
    expect(picture.events.at(-1)?.message).toBe("49999");
    expect(picture.heard).toBe(50_000);
  });

  it("ignores kinds of messages that it does not know", () => {
    expect(after(after(EMPTY, snapshot), { type: "credit", revision: 6, data: {} }).revision).toBe(6);
  });
});

describe("backOff", () => {
  it("grows, is spread, and ends at ten seconds", () => {
    expect(backOff(0, 0)).toBe(125);
    expect(backOff(0, 1)).toBe(250);
    expect(backOff(3, 1)).toBe(2000);
    expect(backOff(50, 1)).toBe(10_000);
  });
});
