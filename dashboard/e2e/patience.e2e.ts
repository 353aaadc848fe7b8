// An API that is busy or slow: what is only read is asked for again, what changes something never by itself.

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";

import { launch, visit } from "./browser";
import { Daemon } from "./daemon";

let daemon: Daemon;
let browser: Browser;

beforeAll(async () => {
  daemon = await Daemon.start();
  browser = await launch();
  await daemon.deploy("web", 2);
  await daemon.settled("web", 2);
});
afterAll(async () => {
  await browser?.close();
  await daemon?.end();
});

it("an API that has enough for now (429) is asked again; one that is slow shows that it is waited for", async () => {
  const { page, context, faults, expected } = await visit(browser, daemon.url);
  expected.push(/the server responded with a status of 429/);
  let refused = 0;
  await page.route("**/api/secrets?*", (route) => {
    refused += 1;
    if (refused > 2) return route.continue();
    return route.fulfill({ status: 429, contentType: "application/problem+json", headers: { "Retry-After": "1" }, body: JSON.stringify({ title: "Too many requests", status: 429, detail: "wait a moment", code: "too_many" }) });
  });
  await page.goto(`${daemon.url}/secrets`);
  await page.getByText("No secrets yet").waitFor({ timeout: 60_000 });
  expect(refused).toBeGreaterThanOrEqual(3);
  // A write that is refused so is not repeated by itself: the person does that.
  let writes = 0;
  await page.route("**/api/workloads/web/scale?*", (route) => {
    writes += 1;
    return writes > 1 ? route.continue() : route.fulfill({ status: 429, contentType: "application/problem+json", body: JSON.stringify({ title: "Too many requests", status: 429, detail: "wait a moment", code: "too_many" }) });
  });
  await page.goto(`${daemon.url}/workloads/web`);
  await page.getByRole("button", { name: "Scale" }).click();
  await page.getByRole("dialog").getByLabel("Instances").fill("3");
  await page.getByRole("dialog").getByRole("button", { name: "Show the plan" }).click();
  await page.getByRole("dialog").getByText("wait a moment").waitFor({ timeout: 60_000 });
  expect(writes).toBe(1);
  await page.getByRole("dialog").getByRole("button", { name: "Plan again" }).click();
  await page.getByRole("dialog").getByText("1 instance").first().waitFor({ timeout: 60_000 });
  await page.keyboard.press("Escape");
  // The answer comes when the test lets it, however slow the machine is.
  let answer = () => {};
  const slow = new Promise<void>((go) => (answer = go));
  await page.route("**/api/tokens?*", async (route) => {
    await slow;
    await route.continue();
  });
  await page.goto(`${daemon.url}/tokens`);
  await page.getByRole("status").filter({ hasText: "Loading" }).waitFor({ timeout: 60_000 });
  answer();
  await page.getByText("No tokens yet").or(page.getByRole("region", { name: "Tokens" })).first().waitFor({ timeout: 60_000 });
  expect(faults).toEqual([]);
  await context.close();
});
