// A topology file, checked, drawn and priced by the server. Nothing is bought, and the text stays in this tab.

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { api, taken } from "../../api/client";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { AreaField } from "../../ui/field";
import { counted, money } from "../../ui/format";
import { Figure, PageHead, Panel } from "../../ui/page";
import { Empty, Loading, Trouble } from "../../ui/states";
import { Status } from "../../ui/status";
import { Table } from "../../ui/table";
import { type Found, type Map, mapOf } from "./documents";
import { CostMap } from "./map";

const KEPT = "univrs.topology";
/** Larger files are refused by the server as well. */
const LARGEST = 1_000_000;

interface Result {
  findings: Found[];
  map: Map | null;
  month: string | null;
  complete: boolean;
  oldest: string | null;
}

async function compile(text: string): Promise<Result> {
  const format = text.trimStart().startsWith("{") ? "json" : /^\s*\[|^\s*[\w-]+\s*=/m.test(text) ? "toml" : "yaml";
  const body = { text, format } as unknown as Record<string, never>;
  const checked = (await taken(api.POST("/api/topologies/check", { body }))) as { errors?: Found[]; warnings?: Found[]; facts?: Found[] };
  const findings = [...(checked.errors ?? []), ...(checked.warnings ?? []), ...(checked.facts ?? [])];
  if (checked.errors?.length) return { findings, map: null, month: null, complete: false, oldest: null };
  const [plan, cost] = await Promise.all([
    taken(api.POST("/api/topologies/plan", { body })) as Promise<unknown>,
    taken(api.POST("/api/topologies/cost", { body })) as Promise<{ totalMonthlyCost?: string; univrs?: { complete?: boolean; oldest_price?: string } }>,
  ]);
  return {
    findings,
    map: mapOf(plan, cost),
    month: cost.totalMonthlyCost ?? null,
    complete: cost.univrs?.complete ?? false,
    oldest: cost.univrs?.oldest_price ?? null,
  };
}

export function Topology() {
  const [text, setText] = useState(() => sessionStorage.getItem(KEPT) ?? "");
  const [unread, setUnread] = useState<string | null>(null);
  const run = useMutation({ mutationFn: compile });
  const result = run.data;

  function change(next: string) {
    setText(next);
    if (next.length < LARGEST) sessionStorage.setItem(KEPT, next);
  }

  async function upload(file: File | undefined) {
    if (!file) return;
    setUnread(file.size > LARGEST ? `${file.name} is larger than 1 MB, which no topology is.` : null);
    if (file.size <= LARGEST) {
      const content = await file.text();
      change(content);
      run.mutate(content);
    }
  }

  return (
    <>
      <PageHead title="Topology" about="A file of clouds: what is impossible or doubtful in it, where it lies and what it costs. Nothing is bought." />
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,26rem)_minmax(0,1fr)]">
        <Panel title="File">
          <form
            className="grid gap-3"
            onSubmit={(event) => {
              event.preventDefault();
              run.mutate(text);
            }}
          >
            <label className="grid gap-1">
              <span className="font-medium">Choose a file</span>
              <input type="file" accept=".toml,.yaml,.yml,.json" className="max-w-full text-dim file:mr-3 file:h-8 file:cursor-pointer file:rounded-md file:border file:border-line file:bg-panel file:px-3 file:font-medium file:text-text" onChange={(event) => void upload(event.target.files?.[0])} />
            </label>
            <AreaField label="Or paste it (TOML, YAML or JSON)" rows={18} value={text} error={unread} onChange={(event) => change(event.target.value)} />
            <Button look="main" type="submit" reason={text.trim() === "" ? "there is no text" : run.isPending ? "it is being compiled" : null}>
              Check, plan and price
            </Button>
            <Command line={command("topology", "check", "topology.toml")} />
          </form>
        </Panel>
        <div className="grid min-w-0 gap-4">
          <Trouble error={run.error} />
          {run.isPending ? <Panel><Loading what="Compiling the topology" /></Panel> : null}
          {!result && !run.isPending ? (
            <Panel>
              <Empty icon="topology" title="No topology yet">
                Choose a file or paste one. The repository has three to begin with under examples.
              </Empty>
            </Panel>
          ) : null}
          {result ? <Compiled result={result} /> : null}
        </div>
      </div>
    </>
  );
}

function Compiled({ result }: { result: Result }) {
  const count = (severity: string) => result.findings.filter((finding) => finding.severity === severity).length;
  return (
    <>
      <div className="grid gap-3 sm:grid-cols-3">
        <Figure label="Errors" value={count("error")} note={count("error") === 0 ? "It can be built as it stands." : "It cannot be built as it stands."} />
        <Figure label="Warnings" value={count("warning")} note={counted(count("fact"), "fact")} />
        <Figure
          label="A month of 730 hours"
          value={result.map ? money(result.month) : "not priced"}
          note={result.map ? `${result.complete ? "all parts priced" : "the known parts; some have no price"}, oldest price ${result.oldest ?? "unknown"}` : "errors come first"}
        />
      </div>
      {result.map ? (
        <Panel title="Where it lies and what it costs">
          <CostMap map={result.map} />
          <Table
            label="Regions"
            rows={result.map.regions}
            id={(row) => row.id}
            initial={{ column: "Cost a month", down: true }}
            empty={null}
            columns={[
              { name: "Region", value: (row) => row.id, cell: (row) => row.id },
              { name: "Range", value: (row) => row.cidr, cell: (row) => <span className="font-mono text-[0.86rem]">{row.cidr}</span> },
              { name: "Machines", value: (row) => row.machines, cell: (row) => row.machines, right: true },
              { name: "Services", value: (row) => row.services, cell: (row) => row.services, right: true },
              { name: "Cost a month", value: (row) => (row.cost === null ? null : Number(row.cost)), cell: (row) => money(row.cost), right: true },
              { name: "Without price", value: (row) => row.unpriced, cell: (row) => counted(row.unpriced, "part"), right: true, wideOnly: true },
            ]}
          />
        </Panel>
      ) : null}
      <Panel title="Findings" flush>
        <ul className="divide-y divide-line">
          {result.findings.map((finding, index) => (
            <li key={index} className="grid gap-1 px-3.5 py-2.5 sm:grid-cols-[7rem_1fr]">
              <span>
                <Status state={finding.severity} tone={finding.severity === "fact" ? "quiet" : undefined} />
              </span>
              <div className="min-w-0">
                <p className="break-words">
                  <b>{finding.path}</b>
                  {finding.line ? <span className="text-dim"> line {finding.line}</span> : null} {finding.message}
                </p>
                {finding.hint ? <p className="text-dim">Next: {finding.hint}</p> : null}
              </div>
            </li>
          ))}
        </ul>
      </Panel>
    </>
  );
}
