import { describe, expect, it } from "vitest";

import { GO_TO, read } from "./keys";

const typed = (key: string, more: Partial<Parameters<typeof read>[0]> = {}) => ({ key, at: 1000, ctrl: false, inField: false, ...more });

describe("keys", () => {
  it("opens the palette from anywhere", () => {
    expect(read(typed("k", { ctrl: true, inField: true }), null).command).toEqual({ kind: "palette" });
    expect(read(typed("K", { ctrl: true }), null).command).toEqual({ kind: "palette" });
  });
  it("goes to a view with two letters within a second", () => {
    const { leader } = read(typed("g"), null);
    expect(read(typed("w", { at: 1900 }), leader).command).toEqual({ kind: "go", to: "/workloads" });
    expect(read(typed("w", { at: 2100 }), leader).command).toBeNull();
    expect(read(typed("q", { at: 1100 }), leader)).toEqual({ command: null, leader: null });
  });
  it("leaves fields alone", () => {
    for (const key of ["g", "/", "?"]) expect(read(typed(key, { inField: true }), null)).toEqual({ command: null, leader: null });
  });
  it("has a letter of its own for each view", () => {
    expect(new Set(GO_TO.map(([letter]) => letter)).size).toBe(GO_TO.length);
    expect(new Set(GO_TO.map(([, to]) => to)).size).toBe(GO_TO.length);
  });
});
