// Form fields. A field cannot be made without its label.

import type { InputHTMLAttributes, ReactNode, SelectHTMLAttributes, TextareaHTMLAttributes } from "react";
import { useId } from "react";

export const CONTROL =
  "w-full rounded-md border border-edge/60 bg-panel px-2.5 h-8 aria-invalid:border-bad disabled:opacity-60";

interface Labelled {
  label: string;
  hint?: ReactNode;
  error?: string | null | undefined;
}

function Frame({ id, label, hint, error, children }: Labelled & { id: string; children: ReactNode }) {
  return (
    <div className="grid min-w-0 content-start gap-1">
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      {children}
      {error ? (
        <p id={`${id}-error`} className="text-bad">
          {error}
        </p>
      ) : hint ? (
        <p id={`${id}-hint`} className="text-[0.86rem] text-dim">
          {hint}
        </p>
      ) : null}
    </div>
  );
}

function described(id: string, { hint, error }: Pick<Labelled, "hint" | "error">) {
  return { "aria-invalid": error ? true : undefined, "aria-describedby": error ? `${id}-error` : hint ? `${id}-hint` : undefined };
}

export function TextField({ label, hint, error, className = "", ...rest }: Labelled & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} error={error}>
      <input autoComplete="off" spellCheck={false} {...rest} id={id} className={`${CONTROL} ${className}`} {...described(id, { hint, error })} />
    </Frame>
  );
}

export function SelectField({ label, hint, error, children, ...rest }: Labelled & SelectHTMLAttributes<HTMLSelectElement>) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} error={error}>
      <select {...rest} id={id} className={CONTROL} {...described(id, { hint, error })}>
        {children}
      </select>
    </Frame>
  );
}

export function AreaField({ label, hint, error, className = "", ...rest }: Labelled & TextareaHTMLAttributes<HTMLTextAreaElement>) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} error={error}>
      <textarea
        spellCheck={false}
        {...rest}
        id={id}
        className={`w-full rounded-md border border-edge/60 bg-panel px-2.5 py-1.5 font-mono text-[0.86rem] aria-invalid:border-bad ${className}`}
        {...described(id, { hint, error })}
      />
    </Frame>
  );
}

export function CheckField({ label, hint, ...rest }: Labelled & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId();
  return (
    <div className="flex items-start gap-2">
      <input {...rest} type="checkbox" id={id} className="mt-0.5 size-4 accent-fill" />
      <label htmlFor={id}>
        {label}
        {hint ? <span className="block text-[0.86rem] text-dim">{hint}</span> : null}
      </label>
    </div>
  );
}

/** A filter above a list; `/` goes to it. */
export function FilterField({ label, value, onChange }: { label: string; value: string; onChange: (text: string) => void }) {
  return (
    <input
      type="search"
      data-filter
      aria-label={label}
      placeholder={`${label}  ( / )`}
      value={value}
      autoComplete="off"
      spellCheck={false}
      className={`${CONTROL} max-w-72`}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}
