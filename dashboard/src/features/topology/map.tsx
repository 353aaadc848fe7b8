// The clouds of a topology where they are on the globe, with what each region costs a month.

import regionsCsv from "../../../../data/regions.csv?raw";
import { money } from "../../ui/format";
import { coordinates, type Map, project } from "./documents";

const WIDTH = 900;
const HEIGHT = 420;
const PLACES = coordinates(regionsCsv);
const TONES = ["fill-accent", "fill-warn", "fill-ok", "fill-info", "fill-bad"];

export function CostMap({ map }: { map: Map }) {
  const spots = project(map.regions, PLACES, WIDTH, HEIGHT);
  const at = new globalThis.Map(spots.map((spot) => [spot.id, spot]));
  const clouds = [...new Set(map.regions.map((region) => region.cloud))].toSorted();
  const most = Math.max(1, ...map.regions.map((region) => Number(region.cost ?? 0)));
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label="Regions, tunnels and costs; the table below says the same" className="w-full">
      {Array.from({ length: 9 }, (_, index) => (
        <line key={`v${index}`} x1={(index + 0.5) * 100} x2={(index + 0.5) * 100} y2={HEIGHT} className="stroke-line" strokeDasharray="2 5" />
      ))}
      {Array.from({ length: 4 }, (_, index) => (
        <line key={`h${index}`} x2={WIDTH} y1={(index + 0.5) * 105} y2={(index + 0.5) * 105} className="stroke-line" strokeDasharray="2 5" />
      ))}
      {map.tunnels.map(([from, to]) => {
        const [a, b] = [at.get(from), at.get(to)];
        return a && b ? <line key={`${from} ${to}`} x1={a.x} y1={a.y} x2={b.x} y2={b.y} className="stroke-edge opacity-50" /> : null;
      })}
      {map.regions.map((region) => {
        const spot = at.get(region.id);
        if (!spot) return null;
        const radius = 6 + 12 * Math.sqrt(Number(region.cost ?? 0) / most);
        const right = spot.x < WIDTH - 190;
        const x = spot.x + (right ? radius + 8 : -radius - 8);
        return (
          <g key={region.id}>
            <title>{`${region.id}, ${region.cidr}`}</title>
            <circle cx={spot.x} cy={spot.y} r={radius} className={`${TONES[clouds.indexOf(region.cloud) % TONES.length]} opacity-85`} />
            <text x={x} y={spot.labelY - 2} textAnchor={right ? "start" : "end"} className="fill-text text-[12px] font-semibold">
              {region.id}
            </text>
            <text x={x} y={spot.labelY + 13} textAnchor={right ? "start" : "end"} className="fill-dim text-[11px]">
              {region.cost === null ? "price unknown" : `${money(region.cost)} a month`}
            </text>
          </g>
        );
      })}
    </svg>
  );
}
