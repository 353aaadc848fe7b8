import { expect, it } from "vitest";

import { spanOf } from "./window";

it.each([
  [0, 900, 1_000_000, 17, 20, 0, 73],
  [16_999_000, 900, 1_000_000, 17, 20, 999_921, 1_000_000],
  [0, 900, 3, 37, 20, 0, 3],
  [5000, 900, 0, 37, 20, 0, 0],
])("from %d, %d high, of %d rows", (top, view, count, height, more, from, to) =>
  expect(spanOf(top, view, count, height, more)).toEqual({ from, to }));
