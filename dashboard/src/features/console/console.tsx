// The tools of AI operators, run by hand: the same server, the same modes, the same two steps for every write.

import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import { useCan } from "../../api/caller";
import { isPlan, type Plan } from "../../api/client";
import { Button } from "../../ui/button";
import { Command } from "../../ui/copy";
import { CONTROL, FilterField } from "../../ui/field";
import { counted } from "../../ui/format";
import { PageHead, Panel } from "../../ui/page";
import { matches } from "../../ui/sort";
import { Empty, Failed, Loading, Trouble } from "../../ui/states";
import { Status } from "../../ui/status";
import { Ago } from "../../ui/time";
import { callTool, lineOf, listTools, type Mode, type Result, type Tool } from "./mcp";
import { Answer } from "./answer";
import { SchemaFields } from "./schema-fields";
import { argumentsOf, fieldsOf } from "./schema-form";

export interface Run {
  readonly number: number;
  readonly tool: string;
  readonly args: Record<string, unknown>;
  readonly mode: Mode;
  readonly at: number;
  readonly took: number;
  readonly result: Result | null;
  readonly error: unknown;
}

const KEPT_RUNS = 50;
/** The history outlives the view, as long as the tab is open. */
let history: readonly Run[] = [];

export function Console() {
  const { tool: chosen, mode: asked } = useSearch({ from: "/console" });
  const mode: Mode = asked ?? "observe";
  const navigate = useNavigate({ from: "/console" });
  const [query, setQuery] = useState("");
  const [runs, setRuns] = useState<readonly Run[]>(history);
  const [shown, setShown] = useState<number | null>(null);
  const tools = useQuery({ queryKey: ["mcp", "tools"], queryFn: () => listTools("observe"), staleTime: Infinity });
  const list = tools.data?.filter((tool) => matches(query, tool.name, tool.description)) ?? [];
  const tool = tools.data?.find((one) => one.name === (chosen ?? tools.data[0]?.name));
  const current = runs.find((run) => run.number === shown) ?? runs.find((run) => run.tool === tool?.name);

  async function run(name: string, args: Record<string, unknown>) {
    const at = Date.now();
    const begun = performance.now();
    let result: Result | null = null;
    let error: unknown = null;
    try {
      result = await callTool(mode, name, args);
    } catch (fault) {
      error = fault;
    }
    const number = (history[0]?.number ?? 0) + 1;
    history = [{ number, tool: name, args, mode, at, took: performance.now() - begun, result, error }, ...history].slice(0, KEPT_RUNS);
    setRuns(history);
    setShown(number);
  }

  return (
    <>
      <PageHead
        title="MCP console"
        about="What AI operators can do here, run by hand. A write answers with a plan; plan_apply carries it out once."
        actions={
          <label className="flex items-center gap-2">
            <span className="text-dim">Mode</span>
            <select className={`${CONTROL} w-auto!`} value={mode} onChange={(event) => void navigate({ search: (before) => ({ ...before, mode: event.target.value === "observe" ? undefined : (event.target.value as "operate" | "admin") }), replace: true })}>
              <option value="observe">observe: read only</option>
              <option value="operate">operate: workloads</option>
              <option value="admin">admin: everything</option>
            </select>
          </label>
        }
      />
      {tools.isPending ? <Loading what="Asking for the tools" /> : null}
      {tools.error ? <Failed error={tools.error} retry={() => void tools.refetch()} /> : null}
      {tools.data ? (
        <div className="grid items-start gap-4 lg:grid-cols-[15rem_minmax(0,1fr)]">
          <Panel title={counted(tools.data.length, "tool")} flush>
            <div className="p-2">
              <FilterField label="Filter tools" value={query} onChange={setQuery} />
            </div>
            <ul className="max-h-[calc(100vh-16rem)] overflow-y-auto pb-1.5">
              {list.map((one) => (
                <li key={one.name}>
                  <button
                    type="button"
                    aria-current={one.name === tool?.name ? "true" : undefined}
                    className="flex w-full items-center justify-between gap-2 px-3.5 py-1 text-left font-mono text-[0.86rem] hover:bg-raised aria-[current]:bg-raised aria-[current]:font-bold"
                    onClick={() => {
                      setShown(null);
                      void navigate({ search: (before) => ({ ...before, tool: one.name }) });
                    }}
                  >
                    {one.name}
                    {one.annotations?.readOnlyHint ? null : <span className="font-sans text-dim">writes</span>}
                  </button>
                </li>
              ))}
            </ul>
          </Panel>
          <div className="grid min-w-0 gap-4">
            {tool ? <Runner key={tool.name} tool={tool} mode={mode} run={run} /> : <Panel><Empty icon="search" title="There is no such tool" /></Panel>}
            {current ? <Answer run={current} apply={(plan: Plan) => run("plan_apply", { plan_id: plan.plan_id, digest: plan.digest })} /> : null}
            <History runs={runs} show={setShown} />
          </div>
        </div>
      ) : null}
    </>
  );
}

function Runner({ tool, mode, run }: { tool: Tool; mode: Mode; run: (name: string, args: Record<string, unknown>) => Promise<void> }) {
  const fields = useMemo(() => fieldsOf(tool.inputSchema), [tool]);
  const [values, setValues] = useState<Record<string, string>>({});
  const [tried, setTried] = useState(false);
  const can = useCan();
  const { args, faults } = argumentsOf(fields, values);
  const go = useMutation({ mutationFn: () => run(tool.name, args) });
  const writes = tool.annotations?.readOnlyHint !== true;
  const reason = go.isPending ? "it runs" : writes && mode === "observe" ? "the mode observe only reads; choose operate or admin above" : writes ? can("operation_read") : null;
  return (
    <Panel title={tool.name} aside={writes ? <Status state="writes" tone="warn" /> : <Status state="reads" tone="quiet" />}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          setTried(true);
          if (Object.keys(faults).length === 0) go.mutate();
        }}
      >
        <p className="max-w-3xl">{tool.description}</p>
        <SchemaFields fields={fields} values={values} faults={tried ? faults : {}} onChange={(name, value) => setValues({ ...values, [name]: value })} />
        <div className="flex items-center justify-between gap-3">
          <code className="min-w-0 truncate font-mono text-[0.82rem] text-dim">{JSON.stringify(args)}</code>
          <Button look="main" type="submit" reason={reason}>
            {go.isPending ? "Running…" : "Run"}
          </Button>
        </div>
        <Trouble error={go.error} />
      </form>
      <div className="mt-3">
        <p className="mb-1 text-[0.86rem] text-dim">The same on the command line</p>
        <Command line={lineOf(mode, tool.name, args)} />
      </div>
    </Panel>
  );
}

function History({ runs, show }: { runs: readonly Run[]; show: (number: number) => void }) {
  if (runs.length === 0) return null;
  const planned = (run: Run) => (isPlan(run.result?.structuredContent) ? `, plan ${run.result.structuredContent.status}` : "");
  return (
    <Panel title="History of this tab" flush>
      <ol className="divide-y divide-line/70">
        {runs.map((run) => (
          <li key={run.number}>
            <button type="button" className="flex w-full flex-wrap items-center gap-x-3 px-3.5 py-1.5 text-left hover:bg-raised" onClick={() => show(run.number)}>
              <span className="text-dim">
                <Ago at={run.at} />
              </span>
              <span className="font-mono text-[0.86rem]">{run.tool}</span>
              <Status state={run.error || run.result?.isError ? "failed" : "done"} />
              <span className="text-dim">
                {run.mode}, {Math.round(run.took)} ms{planned(run)}
              </span>
              <code className="min-w-0 flex-1 truncate font-mono text-[0.82rem] text-dim">{JSON.stringify(run.args)}</code>
            </button>
          </li>
        ))}
      </ol>
    </Panel>
  );
}
