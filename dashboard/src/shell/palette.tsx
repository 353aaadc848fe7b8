// Everything by name: views, workloads, resources, nodes. Opened by Ctrl-K or Cmd-K.

import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useId, useMemo, useState } from "react";

import { usePicture } from "../live/use-live";
import { Dialog } from "../ui/dialog";
import { CONTROL } from "../ui/field";
import { Icon, type IconName } from "../ui/icons";
import { matches } from "../ui/sort";
import { MENU } from "./menu";

interface Choice {
  readonly label: string;
  readonly kind: string;
  readonly icon: IconName;
  readonly go: () => void;
}

const MOST = 40;

export function Palette({ onClose }: { onClose: () => void }) {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const workloads = usePicture((picture) => picture.workloads);
  const nodes = usePicture((picture) => picture.nodes);
  const resources = usePicture((picture) => picture.resources);
  const navigate = useNavigate();
  const id = useId();

  const choices = useMemo(() => {
    const views = MENU.flatMap((group) =>
      group.entries.map((entry): Choice => ({ label: entry.label, kind: "view", icon: entry.icon, go: () => void navigate({ to: entry.to }) })),
    );
    const named = [...workloads.values()].flatMap(({ name }): Choice[] => [
      { label: name, kind: "workload", icon: "workloads", go: () => void navigate({ to: "/workloads/$name", params: { name } }) },
      { label: `${name} logs`, kind: "logs", icon: "events", go: () => void navigate({ to: "/workloads/$name", params: { name }, search: { tab: "logs" } }) },
    ]);
    const made = [...resources.values()].map(({ name }): Choice => ({ label: name, kind: "resource", icon: "resources", go: () => void navigate({ to: "/resources/$name", params: { name } }) }));
    const machines = [...nodes.values()].map(({ id, name }): Choice => ({ label: name, kind: "node", icon: "nodes", go: () => void navigate({ to: "/nodes/$id", params: { id } }) }));
    return [...views, ...named, ...made, ...machines].filter((choice) => matches(query, choice.label, choice.kind)).slice(0, MOST);
  }, [workloads, nodes, resources, query, navigate]);

  const chosen = Math.min(at, choices.length - 1);
  function open(choice: Choice | undefined) {
    if (!choice) return;
    onClose();
    choice.go();
  }
  function keys(event: KeyboardEvent) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : choices.length - 1;
      setAt((chosen + step) % Math.max(1, choices.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      open(choices[chosen]);
    }
  }

  return (
    <Dialog title="Go to" onClose={onClose} top>
      <input
        role="combobox"
        aria-expanded="true"
        aria-controls={`${id}-list`}
        aria-activedescendant={choices.length > 0 ? `${id}-${chosen}` : undefined}
        aria-label="View, workload, resource or node"
        placeholder="View, workload, resource or node"
        className={CONTROL}
        value={query}
        onKeyDown={keys}
        onChange={(event) => {
          setQuery(event.target.value);
          setAt(0);
        }}
      />
      <ul id={`${id}-list`} role="listbox" aria-label="Found" className="-mx-2 max-h-[50vh] overflow-y-auto">
        {choices.map((choice, index) => (
          // Keys are handled by the field, which keeps the focus.
          // eslint-disable-next-line jsx-a11y/click-events-have-key-events
          <li
            key={`${choice.kind} ${choice.label}`}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === chosen}
            ref={(item) => {
              if (index === chosen) item?.scrollIntoView({ block: "nearest" });
            }}
            className="flex cursor-pointer items-center gap-2.5 rounded-md px-2 py-1.5 aria-selected:bg-raised"
            onClick={() => open(choice)}
            onMouseMove={() => setAt(index)}
          >
            <Icon name={choice.icon} className="text-dim" />
            <span className="min-w-0 flex-1 truncate">{choice.label}</span>
            <span className="text-dim">{choice.kind}</span>
          </li>
        ))}
        {choices.length === 0 ? <li className="px-2 py-1.5 text-dim">Nothing has this name.</li> : null}
      </ul>
    </Dialog>
  );
}
