import { readFileSync } from "node:fs";

import { expect, it } from "vitest";

import { coordinates, mapOf, project } from "./documents";

const csv = readFileSync("../data/regions.csv", "utf8");

it("every region of the price book has a place on the map", () => {
  const places = coordinates(csv);
  expect(places.size).toBeGreaterThan(50);
  for (const [region, [lat, lon]] of places) {
    expect(Math.abs(lat), region).toBeLessThanOrEqual(90);
    expect(Math.abs(lon), region).toBeLessThanOrEqual(180);
  }
});

const plan = { regions: [{ id: "aws:us-east-1", cloud: "aws", name: "us-east-1", cidr: "10.0.0.0/16", machines: [1, 2], services: [] }, { id: "x:y", cloud: "x", name: "y" }], tunnels: [{ between: ["aws:us-east-1", "x:y"] }] };
const cost = { projects: [{ breakdown: { resources: [{ metadata: { provider: "aws", region: "us-east-1" }, monthlyCost: "10.5", costComponents: [{ priceNotFound: true }] }] } }] };

it("lays costs over the plan; what has no price is unknown", () => {
  const map = mapOf(plan, cost);
  expect(map.regions[0]).toMatchObject({ machines: 2, cost: "10.50", unpriced: 1 });
  expect(map.regions[1]).toMatchObject({ cost: null, machines: 0 });
  expect(map.tunnels).toEqual([["aws:us-east-1", "x:y"]]);
  expect(mapOf({}, undefined)).toEqual({ regions: [], tunnels: [] });
});

it("places are on the map and labels do not lie on each other", () => {
  const places = coordinates(csv);
  const regions = [...places.keys()].slice(0, 6).map((id) => ({ id, cloud: "", name: "", cidr: "", machines: 0, services: 0, cost: null, unpriced: 0 }));
  const spots = project(regions, places, 900, 420);
  for (const spot of spots) expect(spot.x >= 0 && spot.x <= 900 && spot.y >= 0 && spot.y <= 420).toBe(true);
  for (const a of spots) for (const b of spots) if (a !== b && Math.abs(a.x - b.x) < 190) expect(Math.abs(a.labelY - b.labelY)).toBeGreaterThanOrEqual(34);
});
