// Where the nodes of the graph are drawn: every region is an area, areas of one cloud lie together, nodes fill their
// area evenly like seeds of a sunflower. The same nodes always get the same places, and five thousand take milliseconds.

export interface Placed {
  readonly id: string;
  readonly cloud: string;
  readonly region: string;
}

export interface Area {
  readonly key: string;
  readonly cloud: string;
  readonly region: string;
  readonly count: number;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

export interface Layout {
  readonly areas: readonly Area[];
  /** x and y of each node, in order of the nodes given. */
  readonly points: Float32Array;
  readonly width: number;
  readonly height: number;
}

/** Distance of neighbouring nodes. */
const SPACING = 22;
const MARGIN = 46;
const GOLDEN = Math.PI * (3 - Math.sqrt(5));

const radiusOf = (count: number) => Math.max(58, SPACING * Math.sqrt(count) + 18);

export function layout(nodes: readonly Placed[]): Layout {
  const groups = new Map<string, number[]>();
  for (const [index, { cloud, region }] of nodes.entries()) {
    const key = `${cloud}\u0000${region}`;
    const group = groups.get(key);
    if (group) group.push(index);
    else groups.set(key, [index]);
  }
  const keys = [...groups.keys()].toSorted();
  const areas: Area[] = [];
  // Shelves: areas side by side, a new row when one is about as wide as all of it is high.
  const surface = keys.reduce((sum, key) => sum + (2 * radiusOf(groups.get(key)?.length ?? 0) + MARGIN) ** 2, 0);
  const widest = Math.max(600, Math.sqrt(surface * 1.7));
  let x = 0;
  let y = 0;
  let row: Area[] = [];
  let high = 0;
  const points = new Float32Array(nodes.length * 2);
  const finish = () => {
    for (const area of row) areas.push({ ...area, y: y + high / 2 });
    y += high + MARGIN;
    x = 0;
    high = 0;
    row = [];
  };
  for (const key of keys) {
    const [cloud = "", region = ""] = key.split("\u0000");
    const count = groups.get(key)?.length ?? 0;
    const radius = radiusOf(count);
    if (x > 0 && x + 2 * radius > widest) finish();
    row.push({ key, cloud, region, count, x: x + radius, y: 0, radius });
    x += 2 * radius + MARGIN;
    high = Math.max(high, 2 * radius);
  }
  if (row.length > 0) finish();
  for (const area of areas) {
    const group = groups.get(area.key) ?? [];
    for (const [place, index] of group.entries()) {
      const distance = group.length === 1 ? 0 : SPACING * 0.95 * Math.sqrt(place + 0.4);
      points[index * 2] = area.x + distance * Math.cos(place * GOLDEN);
      points[index * 2 + 1] = area.y + distance * Math.sin(place * GOLDEN);
    }
  }
  const width = Math.max(0, ...areas.map((area) => area.x + area.radius));
  const height = Math.max(0, ...areas.map((area) => area.y + area.radius));
  return { areas, points, width, height };
}

/** A grid over the points, so that the node under the pointer is found without asking all. */
export function finder(points: Float32Array, reach: number): (x: number, y: number) => number | null {
  const cells = new Map<string, number[]>();
  const cell = (value: number) => Math.floor(value / reach);
  for (let index = 0; index < points.length / 2; index += 1) {
    const key = `${cell(points[index * 2] ?? 0)} ${cell(points[index * 2 + 1] ?? 0)}`;
    const list = cells.get(key);
    if (list) list.push(index);
    else cells.set(key, [index]);
  }
  return (x, y) => {
    let best: number | null = null;
    let nearest = reach * reach;
    for (let dx = -1; dx <= 1; dx += 1) {
      for (let dy = -1; dy <= 1; dy += 1) {
        for (const index of cells.get(`${cell(x) + dx} ${cell(y) + dy}`) ?? []) {
          const distance = ((points[index * 2] ?? 0) - x) ** 2 + ((points[index * 2 + 1] ?? 0) - y) ** 2;
          if (distance < nearest) [best, nearest] = [index, distance];
        }
      }
    }
    return best;
  };
}
