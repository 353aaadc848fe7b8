// A modal dialog on the browser's own element: it keeps the focus inside, makes the rest inert, closes by Escape, and
// puts no style into the page, which the content policy would refuse.

import { type ReactNode, useEffect, useId, useRef } from "react";

import { Icon } from "./icons";

interface Props {
  title: string;
  onClose: () => void;
  children: ReactNode;
  wide?: boolean;
  /** At the upper edge, for what one types into. */
  top?: boolean;
}

export function Dialog({ title, onClose, children, wide, top }: Props) {
  const frame = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = frame.current;
    if (dialog && !dialog.open) {
      dialog.showModal();
      // The browser would take the first button, which closes; one comes to type.
      dialog.querySelector<HTMLElement>("input, textarea, select")?.focus();
    }
    return () => dialog?.close();
  }, []);
  return (
    // The backdrop is a convenience for the mouse; Escape and the button do the same.
    // eslint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-element-interactions
    <dialog
      ref={frame}
      aria-labelledby={id}
      className={`${wide ? "max-w-4xl" : "max-w-xl"} ${top ? "mt-[12vh]" : "my-auto"} mx-auto max-h-[86vh] w-[calc(100vw-2rem)] overflow-y-auto rounded-xl border border-line bg-panel shadow-2xl`}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === frame.current) onClose();
      }}
    >
      <div className="flex items-center justify-between gap-4 border-b border-line px-4 py-2.5">
        <h2 id={id} className="truncate font-semibold">
          {title}
        </h2>
        <button type="button" aria-label="Close" className="grid size-7 place-items-center rounded hover:bg-raised" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-3 p-4">{children}</div>
    </dialog>
  );
}
