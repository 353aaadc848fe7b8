// Secrets by name. Values go in and never come out: not here, and from no other part of the API.

import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { useCan } from "../../api/caller";
import { api, type Secret, taken } from "../../api/client";
import { secretsQuery } from "../../api/queries";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { Dialog } from "../../ui/dialog";
import { FilterField, TextField } from "../../ui/field";
import { counted } from "../../ui/format";
import { PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty, Failed, Loading, Outdated } from "../../ui/states";
import { Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { WriteDialog } from "../writes/write-dialog";

export function Secrets() {
  const { q, sort } = useSearch({ from: "/secrets" });
  const navigate = useNavigate({ from: "/secrets" });
  const asked = useQuery(secretsQuery);
  const { data, error, isPending, refetch } = asked;
  const [setting, setSetting] = useState<string | null>(null);
  const [removing, setRemoving] = useState<Secret | null>(null);
  const can = useCan();
  const reason = can("secret_write");
  const rows = data?.items.filter((row) => matches(q ?? "", row.name, ...row.used_by)) ?? [];
  return (
    <>
      <PageHead
        title="Secrets"
        about="Names only. A value goes in here and comes out in the containers that use it, nowhere else."
        actions={
          <Button look="main" reason={reason} onClick={() => setSetting("")}>
            Set a secret
          </Button>
        }
      />
      <div className="mb-3">
        <FilterField label="Filter secrets" value={q ?? ""} onChange={(text) => void navigate({ search: (before) => ({ ...before, q: text || undefined }), replace: true })} />
      </div>
      <Outdated of={asked} />
      {isPending ? <Loading what="Loading secrets" /> : null}
      {error && !data ? <Failed error={error} retry={() => void refetch()} /> : null}
      {data ? (
        <Panel flush>
          <Table
            label="Secrets"
            rows={rows}
            sort={sort}
            onSort={(sort) => void navigate({ search: (before) => ({ ...before, sort }), replace: true })}
            id={(row) => row.id}
            initial={{ column: "Name", down: false }}
            empty={
              data.items.length === 0 ? (
                <Empty icon="secrets" title="No secrets yet">Workloads receive them as variables or files.</Empty>
              ) : (
                <Empty icon="search" title="No secret fits the filter">{counted(data.items.length, "secret")} in all.</Empty>
              )
            }
            columns={[
              { name: "Name", value: (row) => row.name, cell: (row) => <span className="font-medium">{row.name}</span> },
              { name: "Version", value: (row) => row.version, cell: (row) => row.version, right: true },
              { name: "Used by", value: (row) => row.used_by.join(" "), cell: (row) => row.used_by.join(", ") || <span className="text-dim">nothing</span> },
              { name: "Changed", value: (row) => row.updated_at, cell: (row) => <Ago at={row.updated_at} /> },
              {
                name: "Do",
                cell: (row) => (
                  <span className="flex gap-1.5">
                    <Button small reason={reason} onClick={() => setSetting(row.name)}>
                      New value
                    </Button>
                    <Button small reason={reason ?? (row.used_by.length > 0 ? `${row.used_by[0]} uses it` : null)} onClick={() => setRemoving(row)}>
                      Remove
                    </Button>
                  </span>
                ),
              },
            ]}
          />
        </Panel>
      ) : null}
      <div className="mt-3">
        <Command line={command("secret", "ls")} />
      </div>
      {setting !== null ? <SetDialog name={setting} onClose={() => setSetting(null)} /> : null}
      {removing ? (
        <WriteDialog
          title={`Remove ${removing.name}`}
          verb="Remove"
          confirm={removing.name}
          line={command("secret", "rm", removing.name)}
          write={(dry_run) => taken(api.DELETE("/api/secrets/{name}", { params: { path: { name: removing.name }, query: { dry_run } } }))}
          onClose={() => setRemoving(null)}
        />
      ) : null}
    </>
  );
}

function SetDialog({ name: given, onClose }: { name: string; onClose: () => void }) {
  const [name, setName] = useState(given);
  const [value, setValue] = useState("");
  const [going, setGoing] = useState(false);
  const wrong = name !== "" && !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name);
  if (going) {
    return (
      <WriteDialog
        title={`Set ${name}`}
        verb="Set"
        line={`${command("secret", "set", name)} < value`}
        write={(dry_run) => taken(api.PUT("/api/secrets/{name}", { params: { path: { name }, query: { dry_run } }, body: { value } }))}
        onClose={onClose}
      />
    );
  }
  return (
    <Dialog title={given ? `New value of ${given}` : "Set a secret"} onClose={onClose}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (name && value && !wrong) setGoing(true);
        }}
      >
        <TextField label="Name" value={name} readOnly={given !== ""} error={wrong ? "Lower-case letters, digits and hyphens." : null} onChange={(event) => setName(event.target.value)} />
        <TextField label="Value" type="password" autoComplete="new-password" value={value} hint="It is sealed before it is stored." onChange={(event) => setValue(event.target.value)} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="main" type="submit" reason={name && value && !wrong ? null : "name and value are needed"}>
            Show the plan
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
