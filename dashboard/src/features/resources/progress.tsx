// How far the change of a resource is: its stages as they go, and why it failed if it did.

import { Link } from "@tanstack/react-router";

import type { Operation, Resource } from "../../api/client";
import { usePicture } from "../../live/use-live";
import { buttonClass } from "../../ui/button";
import { Icon, type IconName } from "../../ui/icons";
import { Panel } from "../../ui/page";
import { Status } from "../../ui/status";
import { Ago } from "../../ui/time";
import { visible } from "../../ui/visible";
import { stagesOf, type StageState } from "./stages";

const LOOKS: Record<StageState, readonly [IconName, string, string]> = {
  done: ["ok", "text-ok", "done"],
  doing: ["moving", "text-info", "under way"],
  waiting: ["quiet", "text-dim", "to come"],
  failed: ["bad", "text-bad", "failed"],
  undone: ["warn", "text-warn", "taken back"],
};

const TITLES: Record<string, string> = {
  resource_create: "Making it", resource_scale: "Changing its size", resource_rotate: "Replacing its credentials", resource_backup: "Backing it up",
  resource_restore: "Restoring it", resource_delete: "Removing it",
};

/** The status, with how far it is while it changes. */
export function StatusOf({ resource }: { resource: Resource }) {
  const moving = (resource.status === "PROVISIONING" || resource.status === "MAINTENANCE") && resource.progress < 100;
  return <Status state={resource.status} label={moving ? `${resource.status.toLowerCase()} ${resource.progress} %` : undefined} />;
}

export function Progress({ resource }: { resource: Resource }) {
  const operation = usePicture((picture) => picture.operations.get(resource.operation));
  if (!operation) return null;
  const making = operation.kind === "resource_create";
  return (
    <Panel
      title={TITLES[operation.kind] ?? operation.kind.replaceAll("_", " ")}
      aside={
        <Link to="/operations" search={{ id: operation.id }} className={buttonClass("plain", true)}>
          {operation.id}
        </Link>
      }
    >
      <div className="grid gap-3">
        <p role="status" className="flex flex-wrap items-center gap-2">
          <Status state={operation.status} tone={operation.status === "running" ? "info" : undefined} />
          <span>
            {operation.status === "running" ? `${operation.progress} %, stage ${operation.stage}` : <>ended <Ago at={operation.updated_at} /></>}
          </span>
        </p>
        <progress max={100} value={operation.progress} aria-label={`Progress of ${resource.name}`} className="h-1.5 w-full accent-fill" />
        {making ? <Stages operation={operation} /> : <Steps operation={operation} />}
        {operation.error ? (
          <div className="tone-bad rounded-md px-3 py-2">
            <p className="font-medium">{visible(operation.error)}</p>
            {making && operation.status === "running" ? <p>What was made so far is being taken back.</p> : null}
            {making && operation.status !== "running" ? (
              <p>
                Everything made so far was taken back. Destroy what is left of it, then{" "}
                <Link to="/catalogue" search={{ template: resource.template }} className="underline">
                  make it again
                </Link>
                .
              </p>
            ) : null}
          </div>
        ) : null}
      </div>
    </Panel>
  );
}

function Stages({ operation }: { operation: Operation }) {
  return (
    <ol aria-label="Stages" className="grid gap-2 sm:grid-cols-6">
      {stagesOf(operation.steps).map(({ name, label, state }) => {
        const [icon, colour, word] = LOOKS[state];
        return (
          <li key={name} aria-current={state === "doing" ? "step" : undefined} className="flex items-center gap-2 sm:grid sm:justify-items-center sm:gap-1 sm:text-center">
            <Icon name={icon} className={colour} />
            <span className={state === "waiting" ? "text-dim" : ""}>{label}</span>
            <span className="text-[0.82rem] text-dim">{word}</span>
          </li>
        );
      })}
    </ol>
  );
}

function Steps({ operation }: { operation: Operation }) {
  return (
    <ol aria-label="Steps" className="grid gap-1.5">
      {operation.steps.map((step) => (
        <li key={step.name} className="flex flex-wrap items-center gap-2">
          <Status state={step.status} />
          <span>{step.name.replaceAll("_", " ")}</span>
          {(step.attempts ?? 0) > 1 ? <span className="text-dim">attempt {step.attempts}</span> : null}
          {step.error ? <span className="text-bad">{visible(step.error)}</span> : null}
        </li>
      ))}
    </ol>
  );
}
