// The nodes of the cluster by cloud and region, on a canvas that one moves and zooms, with the same as a list beside it.

import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useDeferredValue, useEffect, useMemo, useState } from "react";

import type { Node } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { Facts, PageHead, Panel } from "../../ui/page";
import { counted } from "../../ui/format";
import { Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { placeOf, stateOf } from "../nodes/node";
import { Canvas } from "./canvas";
import type { Layout, Placed } from "./layout";

export function Network() {
  const { node: chosen } = useSearch({ from: "/network" });
  const navigate = useNavigate({ from: "/network" });
  const map = useDeferredValue(usePicture((picture) => picture.nodes));
  const known = useKnown();
  const nodes = useMemo(() => [...map.values()].toSorted((a, b) => a.id.localeCompare(b.id)), [map]);
  const graph = useLayout(nodes);
  const drawn = useMemo(() => nodes.map((node) => ({ name: node.name, state: stateOf(node) })), [nodes]);
  const selected = chosen ? map.get(chosen) : undefined;
  const regions = useMemo(() => {
    const found = new Map<string, Node[]>();
    for (const node of nodes) {
      const key = `${node.location.cloud} ${node.location.region}`;
      found.set(key, [...(found.get(key) ?? []), node]);
    }
    return [...found].toSorted(([a], [b]) => a.localeCompare(b));
  }, [nodes]);
  const choose = (index: number | null) => void navigate({ search: { node: index === null ? undefined : nodes[index]?.id }, replace: true });

  return (
    <>
      <PageHead title="Network" about={known ? `${counted(nodes.length, "node")} in ${counted(regions.length, "region")}` : null} />
      <div className="grid gap-4 xl:grid-cols-[minmax(0,1fr)_20rem]">
        <Panel flush>
          {known && graph && graph.points.length === nodes.length * 2 ? (
            <Canvas graph={graph} nodes={drawn} chosen={selected ? nodes.indexOf(selected) : null} onChoose={choose} />
          ) : (
            <div className="h-[calc(100vh-12rem)]">
              <Loading what="Laying out the graph" />
            </div>
          )}
          <p className="flex flex-wrap gap-x-4 border-t border-line px-3.5 py-2 text-[0.86rem] text-dim">
            <span>Drag to move, wheel or + and − to zoom, 0 to see all.</span>
            <span>disc: ready</span>
            <span>square: cordoned</span>
            <span>triangle: draining</span>
            <span>cross: lost</span>
          </p>
        </Panel>
        <div className="grid content-start gap-4">
          {selected ? (
            <Panel title={selected.name} aside={<Status state={stateOf(selected)} />}>
              <Facts
                items={[
                  ["Place", placeOf(selected)],
                  ["Roles", selected.roles.join(", ")],
                  ["Instances", String(selected.instances)],
                  ["API", selected.api_address],
                  ["More", <Link key="l" to="/nodes/$id" params={{ id: selected.id }} className="text-accent hover:underline">Open the node</Link>],
                ]}
              />
            </Panel>
          ) : null}
          <Panel title="Regions" flush>
            <div tabIndex={0} role="region" aria-label="Nodes by region" className="max-h-[calc(100vh-16rem)] overflow-y-auto">
              {regions.map(([region, members]) => (
                <details key={region} open={regions.length <= 6 && members.length <= 12} className="border-b border-line last:border-0">
                  <summary className="px-3.5 py-2">
                    {region} <span className="text-dim">{counted(members.length, "node")}</span>
                  </summary>
                  <ul className="pb-1.5">
                    {members.slice(0, 200).map((node) => (
                      <li key={node.id}>
                        <button
                          type="button"
                          aria-pressed={node.id === chosen}
                          className="flex w-full items-center justify-between gap-2 px-3.5 py-1 text-left hover:bg-raised aria-pressed:bg-raised"
                          onClick={() => void navigate({ search: { node: node.id }, replace: true })}
                        >
                          <span className="truncate">{node.name}</span>
                          <Status state={stateOf(node)} />
                        </button>
                      </li>
                    ))}
                    {members.length > 200 ? <li className="px-3.5 py-1 text-dim">and {counted(members.length - 200, "more node")}; the view Nodes lists all</li> : null}
                  </ul>
                </details>
              ))}
            </div>
          </Panel>
        </div>
      </div>
    </>
  );
}

/** The layout of the nodes, made anew only when a node comes, goes or moves. */
function useLayout(nodes: readonly Node[]): Layout | null {
  const [graph, setGraph] = useState<Layout | null>(null);
  const key = nodes.map((node) => `${node.id} ${node.location.cloud} ${node.location.region}`).join("\n");
  useEffect(() => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Layout>) => setGraph(data);
    const placed = key === "" ? [] : key.split("\n").map((line): Placed => {
      const [id = "", cloud = "", region = ""] = line.split(" ");
      return { id, cloud, region };
    });
    worker.postMessage(placed);
    return () => worker.terminate();
  }, [key]);
  return graph;
}
