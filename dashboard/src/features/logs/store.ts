// Up to a million log lines with a filter over them, without any I/O: it lives in the worker, which feeds it.

import { plain } from "./sgr";

/** How many lines are kept; the oldest go first. */
export const KEPT = 1_000_000;
/** Lines are dropped in blocks of so many, so that adding stays cheap. */
const BLOCK = 50_000;
/** A longer line is cut for showing; the download has it whole. */
export const LONGEST = 16_384;

export interface Line {
  /** Its number since the start, from 1; it stays when older lines are dropped. */
  readonly number: number;
  readonly at: string;
  readonly error: boolean;
  readonly instance: string;
  readonly container: string;
  readonly text: string;
  /** How many characters were cut off. */
  readonly cut: number;
}

export interface Entry {
  at: string;
  stream: string;
  instance: string;
  container: string;
  text: string;
}

export interface Filter {
  readonly query: string;
  readonly instance: string;
  readonly onlyErrors: boolean;
}

export const EVERYTHING: Filter = { query: "", instance: "", onlyErrors: false };

export class LogStore {
  private lines: Line[] = [];
  private matched: Line[] | null = null;
  private filter: Filter = EVERYTHING;
  private words: string[] = [];
  private next = 1;
  dropped = 0;
  readonly instances = new Map<string, number>();

  constructor(private readonly kept = KEPT, private readonly block = BLOCK) {}

  get total(): number {
    return this.lines.length;
  }

  get shown(): number {
    return (this.matched ?? this.lines).length;
  }

  add(entries: readonly Entry[]) {
    for (const { at, stream, instance, container, text } of entries) {
      const cut = Math.max(0, text.length - LONGEST);
      const line: Line = { number: this.next, at, error: stream === "stderr", instance, container, text: cut ? text.slice(0, LONGEST) : text, cut };
      this.next += 1;
      this.lines.push(line);
      this.instances.set(instance, (this.instances.get(instance) ?? 0) + 1);
      if (this.matched && this.fits(line)) this.matched.push(line);
    }
    if (this.lines.length > this.kept) this.drop();
  }

  choose(filter: Filter) {
    this.filter = filter;
    this.words = filter.query.toLowerCase().split(/\s+/).filter(Boolean);
    const all = this.words.length === 0 && !filter.instance && !filter.onlyErrors;
    this.matched = all ? null : this.lines.filter((line) => this.fits(line));
  }

  window(from: number, to: number): Line[] {
    return (this.matched ?? this.lines).slice(Math.max(0, from), to);
  }

  private fits(line: Line): boolean {
    if (this.filter.onlyErrors && !line.error) return false;
    if (this.filter.instance && line.instance !== this.filter.instance) return false;
    if (this.words.length === 0) return true;
    const text = plain(line.text).toLowerCase();
    return this.words.every((word) => text.includes(word));
  }

  private drop() {
    const count = this.lines.length - this.kept + Math.min(this.block, this.kept);
    const first = this.lines[count]?.number ?? this.next;
    this.lines.splice(0, count);
    this.dropped += count;
    if (this.matched) {
      const keep = this.matched.findIndex((line) => line.number >= first);
      this.matched = keep < 0 ? [] : this.matched.slice(keep);
    }
  }
}
