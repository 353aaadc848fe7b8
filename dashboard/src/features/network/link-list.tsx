// The connections in words: what the lines of the graph say by their kind and width.

import { counted } from "../../ui/format";
import { Panel } from "../../ui/page";
import { Empty } from "../../ui/states";
import { Table } from "../../ui/table";
import { type Line, roundTrip } from "./peers";

const PATHS = { direct: "direct", punched: "through a router", relayed: "by way of another", none: "containers only" } as const;

export function LinkList({ lines, nameOf }: { lines: readonly Line[]; nameOf: (node: string) => string }) {
  return (
    <Panel title={counted(lines.length, "connection")} flush>
      <Table
        label="Connections"
        rows={lines}
        id={(row) => `${row.a} ${row.b}`}
        tall="max-h-80"
        initial={{ column: "Round trip", down: true }}
        empty={<Empty icon="network" title="No connections">This node hears of no connection between nodes.</Empty>}
        columns={[
          { name: "Between", value: (row) => nameOf(row.a), cell: (row) => `${nameOf(row.a)} – ${nameOf(row.b)}` },
          { name: "Path", value: (row) => row.path, cell: (row) => PATHS[row.path] },
          { name: "Round trip", value: (row) => row.rtt_us ?? -1, cell: (row) => roundTrip(row.rtt_us), right: true },
        ]}
      />
    </Panel>
  );
}
