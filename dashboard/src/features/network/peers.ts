// What the network socket has told, as a pure value: who is heard of, how nodes are connected, and what members call out
// to all. `peer-feed.ts` drives it. The server's own page on it is `docs/network-socket.md`.

/** How many calls are kept. */
export const KEPT_CALLS = 5000;

export type PeerPath = "direct" | "punched" | "relayed";

export interface Overlay {
  readonly path: "direct" | "punched" | "relayed" | "none";
  readonly rtt_us?: number | null;
  readonly loss_per_mille?: number | null;
}

export interface Peer {
  readonly node: string;
  readonly name?: string | null;
  readonly standing?: string | null;
  readonly connected: boolean;
  readonly address?: string | null;
  readonly path?: PeerPath | null;
  readonly rtt_us?: number | null;
  readonly version?: string | null;
  readonly cloud?: string | null;
  readonly region?: string | null;
  readonly overlay?: Overlay | null;
}

export interface Connection {
  readonly from: string;
  readonly to: string;
  readonly path?: PeerPath | null;
  readonly rtt_us?: number | null;
  readonly overlay?: Overlay | null;
}

/** Something that a member called out to all. */
export interface Call {
  readonly id: number;
  readonly topic: string;
  readonly author: string;
  readonly at: string;
  readonly body: unknown;
}

export interface NetworkPicture {
  readonly revision: number;
  /** The node that answers; none before it has joined. */
  readonly node: string | null;
  readonly peers: ReadonlyMap<string, Peer>;
  readonly connections: ReadonlyMap<string, Connection>;
  /** Oldest first. */
  readonly calls: readonly Call[];
  /** How many calls came since the view was opened. */
  readonly heard: number;
}

export const NOTHING: NetworkPicture = { revision: 0, node: null, peers: new Map(), connections: new Map(), calls: [], heard: 0 };

export interface NetworkMessage {
  readonly type: string;
  readonly revision?: number;
  readonly at?: string;
  readonly data?: unknown;
}

interface Snapshot {
  node?: string | null;
  peers?: Peer[];
  links?: Connection[];
}

const keyOf = ({ from, to }: { from: string; to: string }) => `${from} ${to}`;

/** The picture after a batch of messages; null when some were missed and the socket has to begin again. */
export function hear(before: NetworkPicture, messages: readonly NetworkMessage[]): NetworkPicture | null {
  let { revision, node, heard } = before;
  let peers: Map<string, Peer> | null = null;
  let connections: Map<string, Connection> | null = null;
  let calls: Call[] | null = null;
  for (const { type, revision: next, data } of messages) {
    if (type === "resync") return null;
    if (type === "snapshot") {
      const whole = data as Snapshot;
      node = whole.node ?? null;
      peers = new Map((whole.peers ?? []).map((peer) => [peer.node, peer]));
      connections = new Map((whole.links ?? []).map((link) => [keyOf(link), link]));
      revision = next ?? 1;
      continue;
    }
    // It counts the messages of this socket, so a gap is a loss.
    if (next !== undefined && next !== revision + 1) return null;
    revision = next ?? revision;
    switch (type) {
      case "peer": {
        const peer = data as Peer;
        peers = (peers ?? new Map(before.peers)).set(peer.node, peer);
        break;
      }
      case "peer_gone":
        peers ??= new Map(before.peers);
        peers.delete((data as { node: string }).node);
        break;
      case "link": {
        const link = data as Connection;
        connections = (connections ?? new Map(before.connections)).set(keyOf(link), link);
        break;
      }
      case "link_gone":
        connections ??= new Map(before.connections);
        connections.delete(keyOf(data as Connection));
        break;
      case "message":
      case "reputation":
      case "credit":
        heard += 1;
        calls ??= [...before.calls];
        calls.push({ ...(data as Omit<Call, "id">), id: heard });
        break;
      default:
        // A newer server may tell more than this page knows.
        break;
    }
  }
  return { revision, node, heard, peers: peers ?? before.peers, connections: connections ?? before.connections, calls: calls ? calls.slice(-KEPT_CALLS) : before.calls };
}

/** How far two nodes are apart, as the graph and its legend tell it. */
export const LATENCIES = [
  ["near", 5_000, "under 5 ms"],
  ["region", 50_000, "5 to 50 ms"],
  ["far", 150_000, "50 to 150 ms"],
  ["slow", Infinity, "150 ms and more"],
] as const;

export type Latency = (typeof LATENCIES)[number][0] | "unknown";

export function latencyOf(rtt_us: number | null | undefined): Latency {
  if (rtt_us === null || rtt_us === undefined) return "unknown";
  return LATENCIES.find(([, most]) => rtt_us < most)?.[0] ?? "slow";
}

export interface Line {
  readonly a: string;
  readonly b: string;
  /** `none` where only the containers' network goes there. */
  readonly path: PeerPath | "none";
  readonly rtt_us: number | null;
  readonly latency: Latency;
}

/** One line for two nodes, though both tell of their connection: the better measured of the two tellings. */
export function lines(connections: Iterable<Connection>): Line[] {
  const found = new Map<string, Line>();
  for (const { from, to, path, rtt_us, overlay } of connections) {
    const [a, b] = from < to ? [from, to] : [to, from];
    const rtt = rtt_us ?? overlay?.rtt_us ?? null;
    const line: Line = { a, b, path: path ?? "none", rtt_us: rtt, latency: latencyOf(rtt) };
    const known = found.get(`${a} ${b}`);
    const measured = overlay !== null && overlay !== undefined;
    if (!known || measured || (known.rtt_us === null && rtt !== null)) found.set(`${a} ${b}`, line);
  }
  return [...found.values()];
}

/** A round trip with its unit. */
export function roundTrip(rtt_us: number | null | undefined): string {
  if (rtt_us === null || rtt_us === undefined) return "not measured";
  return rtt_us < 1000 ? `${rtt_us} µs` : rtt_us < 10_000 ? `${(rtt_us / 1000).toFixed(1)} ms` : `${Math.round(rtt_us / 1000)} ms`;
}
