import { expect, it } from "vitest";

import { readSorting, turned, written } from "./sort";

it("a sorting stands in an address as it is read from it", () => {
  for (const sorting of [{ column: "Name", down: false }, { column: "Cost a month", down: true }]) expect(readSorting(written(sorting))).toEqual(sorting);
  expect(written(turned(turned(null, "Ready"), "Ready"))).toBe("-Ready");
  expect(readSorting(undefined)).toBeNull();
  expect(readSorting("")).toBeNull();
});
