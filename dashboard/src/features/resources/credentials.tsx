// What is needed to reach a resource. It is asked for only when somebody wants to see it, kept nowhere, and every look is
// recorded in the audit log.

import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { callerName, callerQuery, useCan } from "../../api/caller";
import { api, type Resource, taken } from "../../api/client";
import { Button, buttonClass } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command, CopyButton } from "../../ui/copy";
import { textOf } from "../../ui/format";
import { Panel } from "../../ui/page";
import { Trouble } from "../../ui/states";

export function Credentials({ resource }: { resource: Resource }) {
  const { name } = resource;
  const can = useCan();
  const caller = useQuery(callerQuery);
  const reveal = useMutation({
    mutationFn: () => taken(api.GET("/api/resources/{resource}/credentials", { params: { path: { resource: name } } })),
    // Gone as soon as the view is left.
    gcTime: 0,
  });
  const reason = can("resource_credentials") ?? (resource.status === "PROVISIONING" ? "it is being made" : resource.status === "FAILED" ? "it could not be made" : null);
  return (
    <Panel title="Credentials">
      <div className="grid gap-3">
        <p className="tone-info rounded-md px-3 py-2">
          Each look is recorded in the audit log, with the time and who looked: the {callerName(caller.data?.principal)}.
        </p>
        {reveal.data ? (
          <dl aria-label={`Credentials of ${name}`} className="grid gap-2">
            {Object.entries(reveal.data as Record<string, unknown>).map(([key, value]) => {
              const text = textOf(value);
              return (
                <div key={key} className="grid items-center gap-x-3 sm:grid-cols-[11rem_minmax(0,1fr)]">
                  <dt className="text-dim">{key}</dt>
                  <dd className="flex min-w-0 items-center gap-1 rounded-md border border-line bg-raised pl-2.5">
                    <code className="min-w-0 flex-1 py-1.5 font-mono text-[0.86rem] break-all">{text}</code>
                    <CopyButton text={text} label={`Copy ${key}`} />
                  </dd>
                </div>
              );
            })}
          </dl>
        ) : null}
        <Trouble error={reveal.error} />
        <div className="flex flex-wrap gap-2">
          {reveal.data ? (
            <Button onClick={() => reveal.reset()}>Hide</Button>
          ) : (
            <Button look="main" reason={reveal.isPending ? "they are being fetched" : reason} onClick={() => reveal.mutate()}>
              Reveal the credentials
            </Button>
          )}
          <Link to="/audit" search={{ q: name }} className={buttonClass()}>
            Who looked
          </Link>
        </div>
        <Command line={command("resource", "credentials", name)} />
      </div>
    </Panel>
  );
}
