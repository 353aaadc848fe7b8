// The command line equal to what a view does, with a button that copies it.

import { useState } from "react";

import { Icon } from "./icons";

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <button
      type="button"
      aria-label={copied ? "Copied" : label}
      title={label}
      className="grid size-7 shrink-0 place-items-center rounded hover:bg-raised"
      onClick={() => {
        void navigator.clipboard.writeText(text).then(() => {
          setCopied(true);
          window.setTimeout(() => setCopied(false), 1500);
        });
      }}
    >
      <Icon name={copied ? "check" : "copy"} />
    </button>
  );
}

export function Command({ line }: { line: string }) {
  return (
    <div className="flex min-w-0 items-center gap-1 rounded-md border border-line bg-raised pl-2.5">
      <span aria-hidden="true" className="text-dim select-none">
        $
      </span>
      <code tabIndex={0} aria-label="The same on the command line" className="min-w-0 flex-1 overflow-x-auto py-1.5 font-mono text-[0.86rem] whitespace-pre">
        {line}
      </code>
      <CopyButton text={line} label="Copy the command" />
    </div>
  );
}
