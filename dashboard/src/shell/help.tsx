// The keys, for who asks with `?`.

import { Dialog } from "../ui/dialog";
import { GO_TO } from "./keys";

function Key({ children }: { children: string }) {
  return <kbd className="rounded border border-line bg-raised px-1.5 py-px font-mono text-[0.82rem]">{children}</kbd>;
}

const GENERAL: readonly (readonly [string, string])[] = [
  ["Ctrl K or ⌘ K", "Find a view, a workload or a node"],
  ["/", "Filter the list"],
  ["j k", "Next and previous row of a list that has the focus"],
  ["Enter", "Open the row"],
  ["Esc", "Close"],
  ["?", "This help"],
];

export function Help({ onClose }: { onClose: () => void }) {
  const line = (keys: string, text: string) => (
    <div key={keys} className="contents">
      <dt>
        <Key>{keys}</Key>
      </dt>
      <dd>{text}</dd>
    </div>
  );
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1.5">
        {GENERAL.map(([keys, text]) => line(keys, text))}
        {GO_TO.map(([letter, , label]) => line(`g ${letter}`, label))}
      </dl>
    </Dialog>
  );
}
