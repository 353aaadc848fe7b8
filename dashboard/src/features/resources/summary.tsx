// How a resource is: the change under way, where it is reached, what it may use and what it is made of.

import { Link } from "@tanstack/react-router";

import type { Resource } from "../../api/client";
import { usePicture } from "../../live/use-live";
import { command } from "../../ui/cli";
import { Command, CopyButton } from "../../ui/copy";
import { bytes, bytesOf, cores, coresOf, textOf } from "../../ui/format";
import { Code, Facts, Panel } from "../../ui/page";
import { Empty } from "../../ui/states";
import { Status } from "../../ui/status";
import { Ago } from "../../ui/time";
import { visible } from "../../ui/visible";
import { Progress } from "./progress";

export function Summary({ resource }: { resource: Resource }) {
  const { limits, requests } = resource.footprint;
  const workloads = usePicture((picture) => picture.workloads);
  const amount = (cpu: typeof limits.cpu, memory: typeof limits.memory, storage: typeof limits.storage) =>
    `${cores(coresOf(cpu))}, ${bytes(bytesOf(memory))} of memory, ${bytes(bytesOf(storage))} of disk`;
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-4">
      <Progress resource={resource} />
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <Panel title="About">
          <Facts
            items={[
              ["Template", resource.template],
              ["Provider", resource.provider],
              ["May use", amount(limits.cpu, limits.memory, limits.storage)],
              ["Set aside", amount(requests.cpu, requests.memory, requests.storage)],
              ...Object.entries(resource.parameters).map(([key, value]) => [key, visible(textOf(value))] as const),
              ["Asked for", <Ago key="c" at={resource.created_at} />],
              ["Last change", <Ago key="u" at={resource.updated_at} />],
              ["Id", <Code key="i">{resource.id}</Code>],
            ]}
          />
        </Panel>
        <Panel title="Reached at">
          {Object.keys(resource.endpoints).length === 0 ? (
            <Empty title="Not yet">Its addresses are known once it runs.</Empty>
          ) : (
            <Facts
              items={Object.entries(resource.endpoints).map(([port, address]) => [
                port,
                <span key={port} className="flex items-center gap-1">
                  <Code>{address}</Code>
                  <CopyButton text={address} label={`Copy the address of ${port}`} />
                </span>,
              ])}
            />
          )}
          <h3 className="mt-4 mb-1 font-semibold">Made of</h3>
          <ul className="grid gap-1">
            {resource.workloads.map((name) => {
              const workload = workloads.get(name);
              return (
                <li key={name} className="flex flex-wrap items-center gap-2">
                  {workload ? (
                    <>
                      <Link to="/workloads/$name" params={{ name }} className="text-accent underline">
                        {name}
                      </Link>
                      <Status state={workload.status} />
                      <span className="text-dim">
                        {workload.ready} of {workload.replicas} ready
                      </span>
                    </>
                  ) : (
                    <span>{name}</span>
                  )}
                </li>
              );
            })}
          </ul>
        </Panel>
      </div>
      <Command line={command("resource", "get", resource.name)} />
    </div>
  );
}
