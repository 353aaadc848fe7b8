import { describe, expect, it } from "vitest";

import { labelPatch } from "../nodes/node";
import { finder, layout, type Placed } from "./layout";

const many = (count: number): Placed[] =>
  Array.from({ length: count }, (_, at) => ({ id: `n${at}`, cloud: `c${at % 3}`, region: `r${at % 7}` }));

describe("layout", () => {
  it("keeps every node within its region's area, and areas apart", () => {
    const nodes = many(500);
    const { areas, points } = layout(nodes);
    expect(areas).toHaveLength(21);
    for (const [index, node] of nodes.entries()) {
      const area = areas.find((one) => one.cloud === node.cloud && one.region === node.region);
      const distance = Math.hypot((points[index * 2] ?? 0) - (area?.x ?? 0), (points[index * 2 + 1] ?? 0) - (area?.y ?? 0));
      expect(distance).toBeLessThan(area?.radius ?? 0);
    }
    for (const a of areas) for (const b of areas) if (a !== b) expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThan(a.radius + b.radius);
  });
  it("places five thousand nodes quickly, each at a place of its own, the same each time", () => {
    const nodes = many(5000);
    const begun = performance.now();
    const { points } = layout(nodes);
    expect(performance.now() - begun).toBeLessThan(5000); // far beyond what it takes, and far below what a slip in its growth would
    expect(new Set(Array.from({ length: 5000 }, (_, at) => `${points[at * 2]} ${points[at * 2 + 1]}`)).size).toBe(5000);
    expect(layout(nodes).points).toEqual(points);
  });
  it("has nothing to place for no nodes", () => expect(layout([])).toMatchObject({ areas: [], width: 0, height: 0 }));
});

it("finds the node under the pointer", () => {
  const find = finder(new Float32Array([0, 0, 100, 100]), 12);
  expect(find(3, -3)).toBe(0);
  expect(find(95, 103)).toBe(1);
  expect(find(50, 50)).toBeNull();
});

it("a label patch adds, changes and takes away", () =>
  expect(labelPatch({ a: "1", b: "2", c: "3" }, { a: "1", b: "x", d: "4" })).toEqual({ c: null, b: "x", d: "4" }));
