import { describe, expect, it } from "vitest";

import { ago, bytes, bytesOf, cores, coresOf, counted, exact, money } from "./format";

describe("quantities", () => {
  it.each([
    ["128Mi", 134_217_728], ["24684096Ki", 25_276_514_304], ["1G", 1e9], ["12", 12], [7, 7], ["12 Mi", null], ["", null], [null, null], ["5Xi", null],
  ])("reads %s as bytes", (text, count) => expect(bytesOf(text)).toBe(count));
  it.each([["250m", 0.25], ["2", 2], [0.5, 0.5], ["two", null], ["1.5", 1.5]])("reads %s as cores", (text, count) =>
    expect(coresOf(text)).toBe(count));
  it("writes them with their units", () => {
    expect([0, 1023, 1024, 1536, 134_217_728, 25_276_514_304].map(bytes)).toEqual([
      "0 B", "1023 B", "1 KiB", "1.5 KiB", "128 MiB", "23.5 GiB",
    ]);
    expect([0, 0.25, 1, 1.5, 2].map(cores)).toEqual(["0 cores", "250 m", "1 core", "1.5 cores", "2 cores"]);
    expect(bytes(null)).toBe("unknown");
    expect(counted(1, "instance")).toBe("1 instance");
    expect(counted(1200, "instance")).toBe("1,200 instances");
  });
});

describe("times", () => {
  it.each([
    [0, "just now"], [-12_000, "12 s ago"], [-120_000, "2 min ago"], [-7_200_000, "2 h ago"], [-172_800_000, "2 d ago"], [240_000, "in 4 min"],
  ])("%d ms from now is %s", (distance, text) => expect(ago(1e12 + distance, 1e12)).toBe(text));
  it("the exact time is in UTC", () => expect(exact(0)).toBe("1970-01-01 00:00:00.000 UTC"));
});

it("unknown money is not zero", () => {
  expect(money("12.5")).toBe("$12.50");
  expect(money(null)).toBe("unknown");
  expect(money("n/a")).toBe("unknown");
});
