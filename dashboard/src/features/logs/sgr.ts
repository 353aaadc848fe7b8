// Log lines are words of strangers. Colours (SGR) become classes; every other escape sequence is dropped, and characters
// that are invisible or turn the direction of text are shown by their numbers, so that a line cannot pretend.

import { visible } from "../../ui/visible";

export interface Span {
  readonly text: string;
  readonly classes: string;
}

const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

// CSI sequences, OSC and other strings up to their end, two-character escapes, a lone escape.
const ESCAPE = /\u001b(?:\[([0-9;:]*)[ -/]*([@-~])|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])?|\u009b[0-?]*[ -/]*[@-~]/gu;

/** The text without any escape sequence: for searching and for plain views. */
export function plain(text: string): string {
  return text.includes("\u001b") || text.includes("\u009b") ? text.replace(ESCAPE, "") : text;
}

/** The line as spans with classes. */
export function spans(line: string): Span[] {
  if (!line.includes("\u001b") && !line.includes("\u009b")) return [{ text: visible(line), classes: "" }];
  const found: Span[] = [];
  const style = { colour: "", bold: false, dim: false, italic: false, underline: false };
  const push = (text: string) => {
    if (text === "") return;
    const classes = [
      style.colour && `sgr-${style.colour}`,
      ...(["bold", "dim", "italic", "underline"] as const).map((name) => style[name] && `sgr-${name}`),
    ];
    found.push({ text: visible(text), classes: classes.filter(Boolean).join(" ") });
  };
  let end = 0;
  for (const match of line.matchAll(ESCAPE)) {
    push(line.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[2] === "m") set(style, match[1] ?? "");
  }
  push(line.slice(end));
  return found;
}

function set(style: { colour: string; bold: boolean; dim: boolean; italic: boolean; underline: boolean }, parameters: string) {
  const codes = parameters.split(/[;:]/).map(Number);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0;
    if (code === 0) Object.assign(style, { colour: "", bold: false, dim: false, italic: false, underline: false });
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code >= 30 && code <= 37) style.colour = COLOURS[code - 30] ?? "";
    else if (code >= 90 && code <= 97) style.colour = COLOURS[code - 90] ?? "";
    else if (code === 39) style.colour = "";
    // The numbers of an exact colour belong to it and are no styles of their own.
    else if (code === 38 || code === 48) at += codes[at + 1] === 5 ? 2 : 4;
  }
}
