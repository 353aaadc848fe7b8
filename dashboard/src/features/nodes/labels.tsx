// The labels of a node as lines of text; the plan shows what that adds and takes away.

import { useState } from "react";

import { api, type Node, taken } from "../../api/client";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Dialog } from "../../ui/dialog";
import { AreaField } from "../../ui/field";
import { WriteDialog } from "../writes/write-dialog";
import { labelPatch } from "./node";

export function LabelsDialog({ node, onClose }: { node: Node; onClose: () => void }) {
  const before = node.labels ?? {};
  const [text, setText] = useState(Object.entries(before).map(([key, value]) => `${key}=${value}`).join("\n"));
  const [labels, setLabels] = useState<Record<string, string | null> | null>(null);
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  const wrong = lines.find((line) => !/^[^=\s]+=\S*$/.test(line));
  if (labels) {
    const words = Object.entries(labels).map(([key, value]) => (value === null ? `${key}-` : `${key}=${value}`));
    return (
      <WriteDialog
        title={`Labels of ${node.name}`}
        verb="Set labels"
        line={command("node", "label", node.name, ...words)}
        write={(dry_run) => taken(api.PATCH("/api/nodes/{node}", { params: { path: { node: node.id }, query: { dry_run } }, body: { labels } }))}
        onClose={onClose}
      />
    );
  }
  return (
    <Dialog title={`Labels of ${node.name}`} onClose={onClose}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (!wrong) setLabels(labelPatch(before, Object.fromEntries(lines.map((line): [string, string] => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]))));
        }}
      >
        <AreaField label="Labels" rows={6} value={text} error={wrong ? `“${wrong}” is not key=value.` : null} hint="key=value, one a line. Workloads are placed by them." onChange={(event) => setText(event.target.value)} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="main" type="submit" reason={wrong ? "a line is not a label" : null}>
            Show the plan
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
