import { expect, it } from "vitest";

import { covers, spanOf } from "./window";

it.each([
  [0, 900, 1_000_000, 17, 20, 0, 73],
  [16_999_000, 900, 1_000_000, 17, 20, 999_921, 1_000_000],
  [0, 900, 3, 37, 20, 0, 3],
  [5000, 900, 0, 37, 20, 0, 0],
])("from %d, %d high, of %d rows", (top, view, count, height, more, from, to) =>
  expect(spanOf(top, view, count, height, more)).toEqual({ from, to }));

it.each([
  [0, 0, true],
  [0, 469, true],
  [0, 470, false],
  [5000, 4551, true],
  [5000, 4550, false],
])("rows drawn at %d are enough at %d: %s", (drawn, now, enough) =>
  expect(covers({ top: drawn, view: 900 }, { top: now, view: 900 }, 37, 12)).toBe(enough));
