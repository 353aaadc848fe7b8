// What a view shows when it has nothing to show: still loading, empty, failed, not allowed, not there.

import type { ReactNode } from "react";

import { asProblem } from "../api/problem";
import { Button } from "./button";
import { Icon, type IconName } from "./icons";
import { Ago } from "./time";

function Notice({ icon, tone, title, children }: { icon: IconName; tone: string; title: string; children?: ReactNode }) {
  return (
    <div className="grid justify-items-center gap-2 px-4 py-10 text-center">
      <span className={`${tone} grid size-10 place-items-center rounded-full`}>
        <Icon name={icon} className="size-5!" />
      </span>
      <h2 className="font-semibold">{title}</h2>
      <div className="max-w-xl text-dim [&_a]:text-accent [&_a]:underline">{children}</div>
    </div>
  );
}

export function Empty({ title, children, icon = "quiet" }: { title: string; children?: ReactNode; icon?: IconName }) {
  return (
    <Notice icon={icon} tone="tone-quiet" title={title}>
      {children}
    </Notice>
  );
}

export function Loading({ what = "Loading" }: { what?: string }) {
  return (
    <div role="status" className="grid gap-2 p-3.5">
      <span className="sr-only">{what}</span>
      {[88, 72, 80, 60].map((width) => (
        <div key={width} className={`h-4 animate-pulse rounded bg-raised ${width > 75 ? "w-3/4" : "w-1/2"}`} />
      ))}
    </div>
  );
}

export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = asProblem(error);
  const forbidden = problem.status === 403;
  const missing = problem.status === 404;
  return (
    <div role="alert">
      <Notice
        icon={forbidden ? "secrets" : missing ? "search" : "bad"}
        tone={forbidden || missing ? "tone-quiet" : "tone-bad"}
        title={forbidden ? "You may not see this" : problem.title}
      >
        <p>{problem.detail}</p>
        {problem.errors?.map((one) => (
          <p key={one.field + one.detail}>
            <b>{one.field}</b>: {one.detail}
          </p>
        ))}
        {problem.hint ? <p className="mt-1">Next: {problem.hint}</p> : null}
        {forbidden ? <p className="mt-1">Sign in with a token that may, or ask who runs the cluster for one.</p> : null}
        {retry && !forbidden ? (
          <Button className="mt-3" onClick={retry}>
            Try again
          </Button>
        ) : null}
      </Notice>
    </div>
  );
}

interface Asked {
  readonly data: unknown;
  readonly error: unknown;
  readonly dataUpdatedAt: number;
  readonly refetch: () => unknown;
}

/** That what is shown could not be asked for anew, since when it is as it is, and another try. */
export function Outdated({ of: { data, error, dataUpdatedAt, refetch } }: { of: Asked }) {
  if (data === undefined || !error) return null;
  return (
    <div role="status" className="tone-warn mb-3 flex flex-wrap items-center gap-x-3 gap-y-1 rounded-md px-3 py-2">
      <p className="min-w-0 flex-1">
        <b>
          This is as it was <Ago at={dataUpdatedAt} />.
        </b>{" "}
        {asProblem(error).detail}
      </p>
      <Button small onClick={() => void refetch()}>
        Try again
      </Button>
    </div>
  );
}

/** A problem within a form or a dialog, in place. */
export function Trouble({ error }: { error: unknown }) {
  if (!error) return null;
  const problem = asProblem(error);
  return (
    <div role="alert" className="tone-bad rounded-md px-3 py-2">
      <p className="font-medium">
        {problem.field ? `${problem.field}: ` : ""}
        {problem.detail}
      </p>
      {problem.errors?.map((one) => (
        <p key={one.field + one.detail}>
          <b>{one.field}</b>: {one.detail}
          {one.hint ? ` (${one.hint})` : ""}
        </p>
      ))}
      {problem.hint ? <p>Next: {problem.hint}</p> : null}
    </div>
  );
}
