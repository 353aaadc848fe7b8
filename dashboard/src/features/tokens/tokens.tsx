// Tokens of the API: who may come in and how much each may do. The text of a new one is shown once.

import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { callerQuery, callerName, useCan } from "../../api/caller";
import { api, taken, type Token } from "../../api/client";
import { tokensQuery } from "../../api/queries";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command, CopyButton } from "../../ui/copy";
import { Dialog } from "../../ui/dialog";
import { CheckField, FilterField, SelectField, TextField } from "../../ui/field";
import { counted } from "../../ui/format";
import { Code, Facts, PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty, Failed, Loading, Outdated } from "../../ui/states";
import { Status } from "../../ui/status";
import { Table } from "../../ui/table";
import { Ago } from "../../ui/time";
import { WriteDialog } from "../writes/write-dialog";

type Grant = "observe" | "operate" | "admin";

export function Tokens() {
  const { q, sort } = useSearch({ from: "/tokens" });
  const navigate = useNavigate({ from: "/tokens" });
  const asked = useQuery(tokensQuery);
  const { data, error, isPending, refetch } = asked;
  const caller = useQuery(callerQuery);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const can = useCan();
  const reason = can("token_write");
  const rows = data?.items.filter((row) => matches(q ?? "", row.name, row.grant, row.state, row.org, row.id)) ?? [];
  return (
    <>
      <PageHead
        title="Tokens and access"
        about="Who may come in, and how much each may do."
        actions={
          <Button look="main" reason={reason} onClick={() => setMaking(true)}>
            Make a token
          </Button>
        }
      />
      <div className="grid gap-4">
        {made ? (
          <Panel title="The new token" aside={<Button small onClick={() => setMade(null)}>I have it</Button>}>
            <p className="mb-2">Copy it now: it is shown this once and kept nowhere.</p>
            <div className="flex items-center gap-2">
              <Code>{made}</Code>
              <CopyButton text={made} label="Copy the token" />
            </div>
          </Panel>
        ) : null}
        <FilterField label="Filter tokens" value={q ?? ""} onChange={(text) => void navigate({ search: (before) => ({ ...before, q: text || undefined }), replace: true })} />
        <Outdated of={asked} />
        {isPending ? <Loading what="Loading tokens" /> : null}
        {error && !data ? <Failed error={error} retry={() => void refetch()} /> : null}
        {data ? (
          <Panel flush>
            <Table
              label="Tokens"
              rows={rows}
              sort={sort}
              onSort={(sort) => void navigate({ search: (before) => ({ ...before, sort }), replace: true })}
              id={(row) => row.id}
              initial={{ column: "Name", down: false }}
              empty={
                data.items.length === 0 ? (
                  <Empty icon="tokens" title="No tokens yet">On this machine none is needed; from elsewhere, and for pipelines and AI operators, one is.</Empty>
                ) : (
                  <Empty icon="search" title="No token fits the filter">{counted(data.items.length, "token")} in all.</Empty>
                )
              }
              columns={[
                { name: "Name", value: (row) => row.name, cell: (row) => <span className="font-medium">{row.name}</span> },
                { name: "Grants", value: (row) => row.grant, cell: (row) => `${row.grant}${row.direct ? ", direct" : ""}` },
                { name: "State", value: (row) => row.state, cell: (row) => <Status state={row.state} /> },
                { name: "Organisation", value: (row) => row.org, cell: (row) => row.org ?? "the whole cluster" },
                { name: "Budget", cell: (row) => budgetOf(row) ?? <span className="text-dim">none</span>, wideOnly: true },
                { name: "Last used", value: (row) => row.last_used_at, cell: (row) => <Ago at={row.last_used_at} /> },
                { name: "Ends", value: (row) => row.expires_at, cell: (row) => (row.expires_at ? <Ago at={row.expires_at} /> : <span className="text-dim">never</span>), wideOnly: true },
                {
                  name: "Do",
                  cell: (row) => (
                    <Button small reason={reason ?? (row.state === "active" ? null : `it is ${row.state}`)} onClick={() => setRevoking(row)}>
                      Revoke
                    </Button>
                  ),
                },
              ]}
            />
          </Panel>
        ) : null}
        <Panel title="What you may do">
          <Facts
            items={[
              ["You are", callerName(caller.data?.principal)],
              ["Organisation", caller.data?.org ?? "unknown"],
              ["Allowed", (caller.data?.can ?? []).map((action) => action.replaceAll("_", " ")).join(", ")],
            ]}
          />
        </Panel>
        <Command line={command("token", "ls")} />
      </div>
      {making ? <MakeDialog onClose={() => setMaking(false)} onMade={setMade} /> : null}
      {revoking ? (
        <WriteDialog
          title={`Revoke ${revoking.name}`}
          verb="Revoke"
          confirm={revoking.name}
          line={command("token", "revoke", revoking.id)}
          write={(dry_run) => taken(api.DELETE("/api/tokens/{token_id}", { params: { path: { token_id: revoking.id }, query: { dry_run } } }))}
          onClose={() => setRevoking(null)}
        />
      ) : null}
    </>
  );
}

/** What a token may do in all, in words; null when nothing is bounded. */
function budgetOf({ budget, approval }: Token): string | null {
  const parts = [
    budget?.objects_per_plan != null ? `${budget.objects_per_plan} objects a plan` : null,
    budget?.destroys_per_day != null ? `${budget.destroys_per_day} removals a day` : null,
    approval === "elicitation" ? "its client asks" : null,
  ].filter((part) => part !== null);
  return parts.length > 0 ? parts.join(", ") : null;
}

function MakeDialog({ onClose, onMade }: { onClose: () => void; onMade: (token: string) => void }) {
  const [name, setName] = useState("");
  const [grant, setGrant] = useState<Grant>("observe");
  const [direct, setDirect] = useState(false);
  const [ttl, setTtl] = useState("24h");
  const [objects, setObjects] = useState("");
  const [destroys, setDestroys] = useState("");
  const [asks, setAsks] = useState(false);
  const [going, setGoing] = useState(false);
  const wrong = name !== "" && !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name);
  const wrongCount = (text: string) => (text === "" || /^\d{1,9}$/.test(text) ? null : "A whole number, or nothing.");
  const unfit = wrong || wrongCount(objects) !== null || wrongCount(destroys) !== null;
  const budget = { ...(objects ? { objects_per_plan: Number(objects) } : {}), ...(destroys ? { destroys_per_day: Number(destroys) } : {}) };
  const body = { name, grant, direct, ttl: ttl || null, budget, approval: asks ? ("elicitation" as const) : ("person" as const) };
  const line = command(
    "token", "create", name, "--grant", grant, direct && "--direct", ...(ttl ? ["--ttl", ttl] : []), ...(objects ? ["--objects-per-plan", objects] : []),
    ...(destroys ? ["--destroys-per-day", destroys] : []), ...(asks ? ["--approve", "elicitation"] : []),
  );
  if (going) {
    return (
      <WriteDialog
        title={`Make the token ${name}`}
        verb="Make"
        line={line}
        write={(dry_run) => taken(api.POST("/api/tokens", { params: { query: { dry_run } }, body }))}
        onClose={onClose}
        onDone={(result) => {
          if (typeof result === "object" && result !== null && "token" in result) onMade(String(result.token));
        }}
      />
    );
  }
  return (
    <Dialog title="Make a token" onClose={onClose}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (name && !unfit) setGoing(true);
        }}
      >
        <TextField label="Name" value={name} error={wrong ? "Lower-case letters, digits and hyphens." : null} onChange={(event) => setName(event.target.value)} />
        <SelectField label="Grants" value={grant} onChange={(event) => setGrant(event.target.value as Grant)}>
          <option value="observe">observe: read everything but secret values</option>
          <option value="operate">operate: also change workloads</option>
          <option value="admin">admin: also nodes, tokens and organisations</option>
        </SelectField>
        <TextField label="Ends after" value={ttl} hint="Such as 24h or 720h; nothing for never." onChange={(event) => setTtl(event.target.value)} />
        <CheckField label="Direct" checked={direct} hint="A pipeline's: it may change workloads without showing a plan first." onChange={(event) => setDirect(event.target.checked)} />
        <div className="grid gap-3 sm:grid-cols-2">
          <TextField label="Objects per plan" inputMode="numeric" value={objects} error={wrongCount(objects)} hint="Most objects and instances that one write touches; nothing for no bound." onChange={(event) => setObjects(event.target.value)} />
          <TextField label="Removals per day" inputMode="numeric" value={destroys} error={wrongCount(destroys)} hint="In UTC; nothing for no bound." onChange={(event) => setDestroys(event.target.value)} />
        </div>
        <CheckField label="Its client may ask for approval" checked={asks} hint="What destroys may be agreed to by the person in front of the token's own client. You trust that client to ask." onChange={(event) => setAsks(event.target.checked)} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="main" type="submit" reason={!name ? "a name is needed" : unfit ? "a field is not right" : null}>
            Show the plan
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
