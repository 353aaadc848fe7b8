// The nodes of the cluster by cloud and region, on a canvas that one moves and zooms, with the same as a list beside it.

import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useDeferredValue, useEffect, useMemo, useState } from "react";

import type { Node } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { Facts, PageHead, Panel } from "../../ui/page";
import { counted } from "../../ui/format";
import { Loading } from "../../ui/states";
import { Status } from "../../ui/status";
import { placeOf, stateOf } from "../nodes/node";
import { Canvas } from "./canvas";
import { joined } from "./draw-links";
import { Gossip } from "./gossip";
import type { Layout, Placed } from "./layout";
import { Legend } from "./legend";
import { LinkList } from "./link-list";
import { useNetwork } from "./peer-feed";
import { lines as linesOf, roundTrip } from "./peers";

export function Network() {
  const { node: chosen } = useSearch({ from: "/network" });
  const navigate = useNavigate({ from: "/network" });
  const map = useDeferredValue(usePicture((picture) => picture.nodes));
  const known = useKnown();
  const nodes = useMemo(() => [...map.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1)), [map]);
  const graph = useLayout(nodes);
  const drawn = useMemo(() => nodes.map((node) => ({ name: node.name, state: stateOf(node) })), [nodes]);
  const selected = chosen ? map.get(chosen) : undefined;
  const regions = useMemo(() => {
    const found = new Map<string, Node[]>();
    for (const node of nodes) {
      const key = `${node.location.cloud} ${node.location.region}`;
      const members = found.get(key);
      if (members) members.push(node);
      else found.set(key, [node]);
    }
    return [...found].toSorted(([a], [b]) => a.localeCompare(b));
  }, [nodes]);
  const { offered, live, picture } = useNetwork();
  const lines = useMemo(() => linesOf(picture.connections.values()), [picture.connections]);
  const links = useMemo(() => joined(lines, new Map(nodes.map((node, at) => [node.id, at]))), [lines, nodes]);
  const nameOf = useCallback((id: string) => map.get(id)?.name ?? picture.peers.get(id)?.name ?? id, [map, picture.peers]);
  const peer = chosen ? picture.peers.get(chosen) : undefined;
  const choose = (index: number | null) => void navigate({ search: (before) => ({ ...before, node: index === null ? undefined : nodes[index]?.id }), replace: true });

  return (
    <>
      <PageHead title="Network" about={known ? `${counted(nodes.length, "node")} in ${counted(regions.length, "region")}${offered ? `, ${counted(lines.length, "connection")}` : ""}` : null} />
      {offered && !live ? (
        <p role="status" className="tone-warn mb-3 rounded-md px-3 py-2">
          {picture.revision === 0 ? "Listening for peers and connections." : "Connections and gossip may be out of date; the page tries again by itself."}
        </p>
      ) : null}
      <div className="grid gap-4 xl:grid-cols-[minmax(0,1fr)_20rem]">
        <Panel flush>
          {known && graph && graph.points.length === nodes.length * 2 ? (
            <Canvas graph={graph} nodes={drawn} chosen={selected ? nodes.indexOf(selected) : null} links={links} onChoose={choose} />
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
          {offered ? <Legend /> : null}
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
                  ...(peer
                    ? ([
                        ["Gossip", peer.standing ?? "never heard of"],
                        ["Connected", peer.connected ? `${peer.path ?? "yes"}, ${roundTrip(peer.rtt_us)}` : "no"],
                        ["Containers' network", peer.overlay ? `${peer.overlay.path}, ${roundTrip(peer.overlay.rtt_us)}` : "not known"],
                      ] as const)
                    : []),
                  ["More", <Link key="l" to="/nodes/$id" params={{ id: selected.id }} className="text-accent hover:underline">Open the node</Link>],
                ]}
              />
            </Panel>
          ) : null}
          <Panel title="Regions" flush>
            <div tabIndex={0} role="region" aria-label="Nodes by region" className="max-h-[calc(100vh-16rem)] overflow-y-auto">
              {regions.map(([region, members]) => (
                <Region key={region} name={region} members={members} open={regions.length <= 6 && members.length <= 12} chosen={chosen} />
              ))}
            </div>
          </Panel>
        </div>
      </div>
      {offered ? (
        <div className="mt-4 grid grid-cols-[minmax(0,1fr)] gap-4">
          <LinkList lines={lines} nameOf={nameOf} />
          <Gossip calls={picture.calls} heard={picture.heard} nameOf={nameOf} />
        </div>
      ) : null}
      <div className="mt-3">
        <Command line={command("mesh", "peers")} />
      </div>
    </>
  );
}

/** One region of the list. Its nodes are made when it is opened: thousands of closed rows would hold the graph up. */
function Region({ name, members, open, chosen }: { name: string; members: readonly Node[]; open: boolean; chosen: string | undefined }) {
  const navigate = useNavigate({ from: "/network" });
  const [shown, setShown] = useState(open);
  return (
    <details open={shown} onToggle={(event) => setShown(event.currentTarget.open)} className="border-b border-line last:border-0">
      <summary className="px-3.5 py-2">
        {name} <span className="text-dim">{counted(members.length, "node")}</span>
      </summary>
      {shown ? (
        <ul className="pb-1.5">
          {members.slice(0, 200).map((node) => (
            <li key={node.id}>
              <button
                type="button"
                aria-pressed={node.id === chosen}
                className="flex w-full items-center justify-between gap-2 px-3.5 py-1 text-left hover:bg-raised aria-pressed:bg-raised"
                onClick={() => void navigate({ search: (before) => ({ ...before, node: node.id }), replace: true })}
              >
                <span className="truncate">{node.name}</span>
                <Status state={stateOf(node)} />
              </button>
            </li>
          ))}
          {members.length > 200 ? <li className="px-3.5 py-1 text-dim">and {counted(members.length - 200, "more node")}; the view Nodes lists all</li> : null}
        </ul>
      ) : null}
    </details>
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
