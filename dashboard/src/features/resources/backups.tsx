// The backups of a resource, and those of others of its template that can be put into it.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useCan } from "../../api/caller";
import type { Resource } from "../../api/client";
import { templatesQuery } from "../../api/queries";
import { usePicture } from "../../live/use-live";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { bytes } from "../../ui/format";
import { Panel } from "../../ui/page";
import { Empty } from "../../ui/states";
import { Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { BackUpDialog, RestoreDialog } from "./actions";
import { busy } from "./stages";

interface Row {
  readonly id: string;
  readonly of: string;
  readonly created_at: string;
  readonly bytes: number;
  readonly sha256: string;
}

export function Backups({ resource }: { resource: Resource }) {
  const can = useCan();
  const templates = useQuery(templatesQuery);
  const resources = usePicture((picture) => picture.resources);
  const operation = usePicture((picture) => picture.operations.get(resource.operation));
  const [making, setMaking] = useState(false);
  const [restoring, setRestoring] = useState<Row | null>(null);
  const template = templates.data?.items.find((one) => one.id === resource.template);
  const without = template && !template.backup ? "its template has no backups" : null;
  const reason = can("resource_write") ?? without ?? busy(resource, operation);
  const kin = [...resources.values()].filter((one) => one.template === resource.template);
  const rows = kin.flatMap((one) => one.backups.map((backup): Row => ({ ...backup, of: one.name })));
  return (
    <>
      <Panel
        title="Backups"
        flush
        aside={
          <Button small reason={reason} onClick={() => setMaking(true)}>
            Back up now
          </Button>
        }
      >
        <Table
          label="Backups"
          rows={rows}
          id={(row) => `${row.of} ${row.id}`}
          initial={{ column: "Made", down: true }}
          empty={
            <Empty icon="resources" title={without ? "No backups" : "No backups yet"}>
              {without ? "The template of this resource has no way to make one." : "A backup lies beside the resource, and goes when the resource goes."}
            </Empty>
          }
          columns={[
            { name: "Of", value: (row) => row.of, cell: (row) => (row.of === resource.name ? <b>{row.of}</b> : row.of) },
            { name: "Made", value: (row) => row.created_at, cell: (row) => <Ago at={row.created_at} /> },
            { name: "Backup", value: (row) => row.id, cell: (row) => <span className="font-mono text-[0.86rem]">{row.id}</span> },
            { name: "Size", value: (row) => row.bytes, cell: (row) => bytes(row.bytes), right: true },
            { name: "SHA-256", cell: (row) => <span title={row.sha256} className="font-mono text-[0.86rem]">{row.sha256.slice(0, 12)}…</span>, wideOnly: true },
            {
              name: "Do",
              cell: (row) => (
                <Button small reason={reason} onClick={() => setRestoring(row)}>
                  Restore
                </Button>
              ),
            },
          ]}
        />
      </Panel>
      <div className="mt-3 grid gap-2">
        <Command line={command("resource", "backup", resource.name)} />
      </div>
      {making ? <BackUpDialog resource={resource} onClose={() => setMaking(false)} /> : null}
      {restoring ? <RestoreDialog resource={resource} from={restoring.of} backup={restoring.id} onClose={() => setRestoring(null)} /> : null}
    </>
  );
}
