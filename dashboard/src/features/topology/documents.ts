// What the topology calls answer, as far as the view shows it. The API document leaves these bodies open, so they are
// read with care: what is missing is unknown, never zero.

export interface Found {
  severity: string;
  code: string;
  path: string;
  message: string;
  hint?: string;
  line?: number;
}

export interface Region {
  readonly id: string;
  readonly cloud: string;
  readonly name: string;
  readonly cidr: string;
  readonly machines: number;
  readonly services: number;
  /** Money a month as a decimal text; null when nothing of it has a price. */
  readonly cost: string | null;
  readonly unpriced: number;
}

export interface Map {
  readonly regions: readonly Region[];
  readonly tunnels: readonly (readonly [string, string])[];
}

type Loose = Record<string, unknown>;
const list = (value: unknown): Loose[] => (Array.isArray(value) ? (value as Loose[]) : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The map of a plan with the prices of a cost answer laid over it. */
export function mapOf(plan: unknown, cost: unknown): Map {
  const resources = list((cost as Loose | undefined)?.projects).flatMap((project) => list((project.breakdown as Loose | undefined)?.resources));
  const prices = new Map<string, { sum: number; priced: boolean; unpriced: number }>();
  for (const resource of resources) {
    const { provider, region } = (resource.metadata ?? {}) as { provider?: string; region?: string };
    const key = `${provider}:${region}`;
    const entry = prices.get(key) ?? { sum: 0, priced: false, unpriced: 0 };
    const month = resource.monthlyCost;
    if (typeof month === "string" && month !== "") {
      entry.sum += Number(month);
      entry.priced = true;
    }
    entry.unpriced += list(resource.costComponents).filter((component) => component.priceNotFound === true).length;
    prices.set(key, entry);
  }
  const regions = list((plan as Loose).regions).map((region): Region => {
    const price = prices.get(text(region.id));
    return {
      id: text(region.id),
      cloud: text(region.cloud),
      name: text(region.name),
      cidr: text(region.cidr),
      machines: list(region.machines).length,
      services: list(region.services).length,
      cost: price?.priced ? price.sum.toFixed(2) : null,
      unpriced: price?.unpriced ?? 0,
    };
  });
  const tunnels = list((plan as Loose).tunnels).flatMap((tunnel) => {
    const [from, to] = (tunnel.between ?? []) as string[];
    return from && to ? [[from, to] as const] : [];
  });
  return { regions, tunnels };
}

/** Latitude and longitude of the regions, from the price book's list. */
export function coordinates(csv: string): ReadonlyMap<string, readonly [number, number]> {
  const found = new Map<string, readonly [number, number]>();
  const [head = "", ...rows] = csv.trim().split("\n");
  const names = head.split(",");
  const place = (name: string) => names.indexOf(name);
  for (const row of rows) {
    const cells = row.split(",");
    // A city may have a comma in it; what follows it is counted from the end.
    const late = (name: string) => cells[cells.length - (names.length - place(name))];
    found.set(`${cells[place("provider")]}:${cells[place("region")]}`, [Number(late("lat")), Number(late("lon"))]);
  }
  return found;
}

export interface Spot {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  /** Where its label is written, moved down or up from labels it would lie on. */
  readonly labelY: number;
}

/** Places on a map of this size that shows just these regions; those without coordinates stand in a row below. */
export function project(regions: readonly Region[], at: ReadonlyMap<string, readonly [number, number]>, width: number, height: number): Spot[] {
  const known = regions.filter((region) => at.has(region.id));
  const lats = known.map((region) => at.get(region.id)?.[0] ?? 0);
  const lons = known.map((region) => at.get(region.id)?.[1] ?? 0);
  const middle = [(Math.min(...lats) + Math.max(...lats)) / 2, (Math.min(...lons) + Math.max(...lons)) / 2] as const;
  const margin = { x: 130, y: 50 };
  const span = Math.max(12, (Math.max(...lons) - Math.min(...lons)) * 1.1, ((Math.max(...lats) - Math.min(...lats)) * 1.1 * width) / height);
  const scale = (width - 2 * margin.x) / span;
  const spots: Spot[] = [];
  let below = 0;
  for (const region of regions.toSorted((a, b) => (at.get(b.id)?.[0] ?? -99) - (at.get(a.id)?.[0] ?? -99))) {
    const found = at.get(region.id);
    const x = found ? width / 2 + (found[1] - middle[1]) * scale : margin.x + 150 * below++;
    const y = found ? height / 2 - (found[0] - middle[0]) * scale : height - 24;
    let labelY = y;
    while (spots.some((spot) => Math.abs(spot.x - x) < 270 && Math.abs(spot.labelY - labelY) < 34)) labelY += 8;
    spots.push({ id: region.id, x, y, labelY });
  }
  return spots;
}
