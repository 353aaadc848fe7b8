import { describe, expect, it } from "vitest";

import { type Connection, hear, KEPT_CALLS, latencyOf, lines, type NetworkMessage, NOTHING, roundTrip } from "./peers";

const peer = (node: string, connected = true) => ({ node, connected });
const link = (from: string, to: string, more: Partial<Connection> = {}): Connection => ({ from, to, path: "direct", rtt_us: 1000, ...more });
const snapshot: NetworkMessage = { type: "snapshot", revision: 1, data: { node: "a", peers: [peer("b")], links: [link("a", "b")] } };

describe("what the network socket tells", () => {
  it("is a snapshot and then changes", () => {
    const before = hear(NOTHING, [snapshot]);
    const after = hear(before ?? NOTHING, [
      { type: "peer", revision: 2, data: peer("c", false) },
      { type: "link", revision: 3, data: link("a", "c") },
      { type: "link_gone", revision: 4, data: { from: "a", to: "b" } },
      { type: "peer_gone", revision: 5, data: { node: "b" } },
      { type: "reputation", revision: 6, data: { topic: "reputation", author: "c", at: "2026-01-01T00:00:00Z", body: { score: 1 } } },
      { type: "of tomorrow", revision: 7, data: {} },
    ]);
    expect([...(after?.peers.keys() ?? [])]).toEqual(["c"]);
    expect([...(after?.connections.keys() ?? [])]).toEqual(["a c"]);
    expect(after?.calls.map(({ id, topic }) => [id, topic])).toEqual([[1, "reputation"]]);
    expect([before?.peers.size, before?.node, after?.revision]).toEqual([1, "a", 7]);
  });
  it("begins again when something is missing", () => {
    const before = hear(NOTHING, [snapshot]) ?? NOTHING;
    expect(hear(before, [{ type: "peer", revision: 3, data: peer("c") }])).toBeNull();
    expect(hear(before, [{ type: "resync" }])).toBeNull();
  });
  it("keeps no more calls than it says", () => {
    const call = (at: number): NetworkMessage => ({ type: "message", revision: at + 2, data: { topic: "announce", author: "b", at: "", body: at } });
    const after = hear(hear(NOTHING, [snapshot]) ?? NOTHING, Array.from({ length: KEPT_CALLS + 10 }, (_, at) => call(at)));
    expect([after?.calls.length, after?.heard, after?.calls[0]?.id]).toEqual([KEPT_CALLS, KEPT_CALLS + 10, 11]);
  });
});

describe("lines", () => {
  it("are one for two nodes, the measured telling first", () => {
    const told = [link("b", "a", { rtt_us: 9000 }), link("a", "b", { rtt_us: 1300, overlay: { path: "direct" } }), link("b", "c", { path: "relayed", rtt_us: null })];
    expect(lines(told)).toEqual([
      { a: "a", b: "b", path: "direct", rtt_us: 1300, latency: "near" },
      { a: "b", b: "c", path: "relayed", rtt_us: null, latency: "unknown" },
    ]);
    expect(lines([link("a", "b", { path: null, rtt_us: null, overlay: { path: "direct", rtt_us: 60_000 } })])[0]).toMatchObject({ path: "none", latency: "far" });
  });
  it.each([[null, "unknown", "not measured"], [0, "near", "0 µs"], [4999, "near", "5.0 ms"], [5000, "region", "5.0 ms"], [150_000, "slow", "150 ms"]] as const)("a round trip of %s is %s", (rtt, latency, text) => {
    expect([latencyOf(rtt), roundTrip(rtt)]).toEqual([latency, text]);
  });
});
