// The table of every list: sorted by its headings, rows opened by mouse or with j, k and Enter, drawn only as far as they
// are in view when there are many.

import { type KeyboardEvent, type ReactNode, useMemo, useRef, useState } from "react";

import { readSorting, sorted, type Sorting, type SortValue, turned, written } from "./sort";
import { useWindow } from "./window";

export interface Column<T> {
  readonly name: string;
  readonly cell: (row: T) => ReactNode;
  /** What it is sorted by; a column without it is not sorted. */
  readonly value?: (row: T) => SortValue;
  readonly right?: boolean;
  /** Hidden where the screen is narrow. */
  readonly wideOnly?: boolean;
}

interface Props<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  id: (row: T) => string;
  onOpen?: (row: T) => void;
  initial?: Sorting;
  /** The sorting as the address has it, for a table whose sorting stands there. */
  sort?: string | undefined;
  onSort?: (sort: string) => void;
  empty: ReactNode;
  /** Height of the part in view, when there are more rows than fit. */
  tall?: string;
}

const ROW = 37;
const MANY = 60;

export function Table<T>({ label, rows, columns, id, onOpen, initial, sort, onSort, empty, tall = "max-h-[calc(100vh-13rem)]" }: Props<T>) {
  const [own, setOwn] = useState<Sorting | null>(null);
  const given = useMemo(() => readSorting(sort), [sort]);
  const [first] = useState(initial ?? null);
  const sorting = (onSort ? given : own) ?? first;
  const frame = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => {
    const value = columns.find((column) => column.name === sorting?.column)?.value;
    return value && sorting ? sorted(rows, value, sorting.down) : rows;
  }, [rows, columns, sorting]);
  const many = shown.length > MANY;
  const { from, to } = useWindow(frame, shown.length, ROW);
  const drawn = many ? shown.slice(from, to) : shown;
  const before = many ? from * ROW : 0;
  const after = many ? (shown.length - to) * ROW : 0;

  function turn(column: string) {
    const next = turned(sorting, column);
    if (onSort) onSort(written(next));
    else setOwn(next);
  }

  if (rows.length === 0) return <>{empty}</>;

  function keys(event: KeyboardEvent<HTMLTableRowElement>, row: T) {
    if (event.target !== event.currentTarget) return;
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = step > 0 ? event.currentTarget.nextElementSibling : event.currentTarget.previousElementSibling;
      if (next instanceof HTMLElement) next.focus();
    } else if (event.key === "Enter" && onOpen) {
      onOpen(row);
    }
  }

  return (
    <div ref={frame} tabIndex={many ? 0 : undefined} className={`overflow-auto ${many ? tall : ""}`} role="region" aria-label={label}>
      <table className="w-full border-collapse text-left">
        <thead className="sticky top-0 z-10 bg-panel shadow-[0_1px_0_var(--line)]">
          <tr>
            {columns.map((column) => (
              <th
                key={column.name}
                scope="col"
                aria-sort={sorting?.column === column.name ? (sorting.down ? "descending" : "ascending") : undefined}
                className={`h-9 px-3.5 text-[0.86rem] font-medium whitespace-nowrap text-dim ${column.right ? "text-right" : ""} ${column.wideOnly ? "max-lg:hidden" : ""}`}
              >
                {column.value ? (
                  <button type="button" className="inline-flex items-center gap-1 rounded hover:text-text" onClick={() => turn(column.name)}>
                    {column.name}
                    <span aria-hidden="true" className="w-2">
                      {sorting?.column === column.name ? (sorting.down ? "↓" : "↑") : ""}
                    </span>
                  </button>
                ) : (
                  column.name
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 ? <tr aria-hidden="true"><td style={{ height: before }} /></tr> : null}
          {drawn.map((row) => (
              <tr
                key={id(row)}
                tabIndex={onOpen ? 0 : undefined}
                className={`border-b border-line/70 last:border-0 ${onOpen ? "cursor-pointer hover:bg-raised/60 focus-visible:-outline-offset-2" : ""}`}
                onKeyDown={(event) => keys(event, row)}
                onClick={(event) => {
                  if (onOpen && !(event.target as Element).closest("a, button, input, summary")) onOpen(row);
                }}
              >
                {columns.map((column) => (
                  <td key={column.name} className={`h-[37px] max-w-md truncate px-3.5 py-1 ${column.right ? "text-right" : ""} ${column.wideOnly ? "max-lg:hidden" : ""}`}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
          ))}
          {after > 0 ? <tr aria-hidden="true"><td style={{ height: after }} /></tr> : null}
        </tbody>
      </table>
    </div>
  );
}
