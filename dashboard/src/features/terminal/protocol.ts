// The frames of `/api/workloads/{workload}/exec`: the first byte says what a frame carries.

export const INPUT = 0;
export const OUTPUT = 1;
export const ERROR = 2;
export const END = 3;
export const SIZE = 4;

export function frame(kind: number, payload: Uint8Array | string): Uint8Array<ArrayBuffer> {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const whole = new Uint8Array(bytes.length + 1);
  whole[0] = kind;
  whole.set(bytes, 1);
  return whole;
}

export type Told = { kind: "output"; bytes: Uint8Array } | { kind: "end"; code: number | null } | null;

export function read(data: ArrayBuffer): Told {
  const bytes = new Uint8Array(data);
  const payload = bytes.subarray(1);
  if (bytes[0] === OUTPUT || bytes[0] === ERROR) return { kind: "output", bytes: payload };
  if (bytes[0] !== END) return null;
  try {
    const body = JSON.parse(new TextDecoder().decode(payload)) as { code?: number };
    return { kind: "end", code: body.code ?? null };
  } catch {
    return { kind: "end", code: null };
  }
}

/** A command line as words, with quotes as a shell has them; null when a quote is not closed. */
export function words(line: string): string[] | null {
  const found: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let at = 0; at < line.length; at += 1) {
    const character = line[at] ?? "";
    if (quote) {
      if (character === quote) quote = "";
      else word = (word ?? "") + character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== null) found.push(word);
      word = null;
    } else if (character === "\\" && at + 1 < line.length) {
      at += 1;
      word = (word ?? "") + (line[at] ?? "");
    } else {
      word = (word ?? "") + character;
    }
  }
  if (quote) return null;
  if (word !== null) found.push(word);
  return found;
}
