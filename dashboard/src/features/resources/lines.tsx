// What a resource wrote last. Everything that its workloads wrote, live, is in their own views.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { useCan } from "../../api/caller";
import type { Resource } from "../../api/client";
import { resourceLinesQuery } from "../../api/queries";
import { usePicture } from "../../live/use-live";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { FilterField, SelectField } from "../../ui/field";
import { counted } from "../../ui/format";
import { Panel } from "../../ui/page";
import { Empty, Failed, Loading } from "../../ui/states";
import { spans } from "../logs/sgr";

/** Longer lines are cut for the eye; the command line has them whole. */
const LONGEST = 2000;

export function Lines({ resource }: { resource: Resource }) {
  const [tail, setTail] = useState(200);
  const [filter, setFilter] = useState("");
  const can = useCan();
  const refused = can("workload_logs");
  const { data, error, isPending, refetch } = useQuery({ ...resourceLinesQuery(resource.name, tail), enabled: refused === null });
  const live = usePicture((picture) => resource.workloads.filter((name) => picture.workloads.has(name)).join(" "));
  const items = data?.items ?? [];
  const shown = filter ? items.filter((line) => line.toLowerCase().includes(filter.toLowerCase())) : items;
  return (
    <div className="grid gap-3">
      <div className="flex flex-wrap items-end gap-3">
        <FilterField label="Filter lines" value={filter} onChange={setFilter} />
        <SelectField label="The last" value={tail} onChange={(event) => setTail(Number(event.target.value))}>
          {[50, 200, 1000].map((count) => (
            <option key={count} value={count}>
              {count} lines
            </option>
          ))}
        </SelectField>
      </div>
      <Panel title={data ? `${counted(shown.length, "line")}${filter ? ` of ${items.length}` : ""}` : "Logs"} flush>
        {refused ? (
          <Empty icon="secrets" title="You may not see this">
            {refused}.
          </Empty>
        ) : null}
        {isPending && !refused ? <Loading what="Loading the log" /> : null}
        {error ? <Failed error={error} retry={() => void refetch()} /> : null}
        {data && shown.length === 0 ? <Empty title={filter ? "No line fits the filter" : "It has written nothing yet"} /> : null}
        {shown.length > 0 ? (
          <div role="log" tabIndex={0} aria-label={`Log of ${resource.name}`} className="max-h-[65vh] overflow-auto py-2 font-mono text-[0.82rem]">
            {shown.map((line, index) => (
              <div key={index} className="px-3 whitespace-pre hover:bg-raised">
                {spans(line.slice(0, LONGEST)).map((span, place) => (
                  <span key={place} className={span.classes || undefined}>
                    {span.text}
                  </span>
                ))}
                {line.length > LONGEST ? <span className="text-dim"> … {(line.length - LONGEST).toLocaleString("en")} more characters</span> : null}
              </div>
            ))}
          </div>
        ) : null}
      </Panel>
      {live ? (
        <p className="text-dim">
          Live and in full:{" "}
          {live.split(" ").map((name) => (
            <Link key={name} to="/workloads/$name" params={{ name }} search={{ tab: "logs" }} className="mr-2 text-accent underline">
              {name}
            </Link>
          ))}
        </p>
      ) : null}
      <Command line={command("resource", "logs", resource.name, "--tail", tail)} />
    </div>
  );
}
