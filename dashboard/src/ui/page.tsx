// The frame of a view: its heading with actions, panels, lists of facts.

import { type ReactNode, useEffect } from "react";

interface HeadProps {
  title: string;
  /** What the view is for, in a sentence. */
  about?: ReactNode;
  badge?: ReactNode;
  actions?: ReactNode;
}

export function PageHead({ title, about, badge, actions }: HeadProps) {
  useEffect(() => {
    document.title = `${title} - Univrs`;
  }, [title]);
  return (
    <header className="mb-4 flex flex-wrap items-start justify-between gap-x-4 gap-y-2">
      <div className="min-w-0">
        <div className="flex flex-wrap items-center gap-2.5">
          <h1 id="page-title" tabIndex={-1} className="truncate text-xl font-semibold tracking-tight outline-none">
            {title}
          </h1>
          {badge}
        </div>
        {about ? <p className="mt-0.5 max-w-3xl text-dim">{about}</p> : null}
      </div>
      {actions ? <div className="flex flex-wrap items-center gap-2">{actions}</div> : null}
    </header>
  );
}

interface PanelProps {
  title?: string;
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
  /** Without inner space, for tables. */
  flush?: boolean;
}

export function Panel({ title, aside, children, className = "", flush }: PanelProps) {
  return (
    <section aria-label={title} className={`min-w-0 rounded-lg border border-line bg-panel ${className}`}>
      {title ? (
        <div className="flex min-h-10 flex-wrap items-center justify-between gap-2 border-b border-line px-3.5 py-1.5">
          <h2 className="font-semibold">{title}</h2>
          {aside}
        </div>
      ) : null}
      <div className={flush ? "" : "p-3.5"}>{children}</div>
    </section>
  );
}

/** Names and values, aligned. */
export function Facts({ items }: { items: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="grid grid-cols-[minmax(7rem,auto)_1fr] gap-x-4 gap-y-1.5">
      {items.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-dim">{name}</dt>
          <dd className="min-w-0 break-words">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A number that stands for itself. */
export function Figure({ label, value, note, children }: { label: string; value: ReactNode; note?: ReactNode; children?: ReactNode }) {
  return (
    <div className="min-w-0 rounded-lg border border-line bg-panel px-3.5 py-3">
      <div className="text-[0.86rem] text-dim">{label}</div>
      <div className="mt-0.5 text-2xl leading-tight font-semibold tracking-tight">{value}</div>
      {note ? <div className="mt-0.5 text-[0.86rem] text-dim">{note}</div> : null}
      {children}
    </div>
  );
}

export function Code({ children }: { children: ReactNode }) {
  return <code className="rounded bg-raised px-1 py-px font-mono text-[0.86rem] break-all">{children}</code>;
}
