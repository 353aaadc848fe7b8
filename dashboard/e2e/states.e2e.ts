// What a view says while it waits, when it has nothing, when what it shows is old, and that its state is its address.

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

const broken = { status: 500, contentType: "application/problem+json", body: JSON.stringify({ title: "The server failed", status: 500, detail: "its log says why", code: "internal" }) };

it("what was shown before the API failed stays, and says since when it is as it is", async () => {
  const { page, context, faults, expected } = await visit(browser, daemon.url);
  expected.push(/Failed to load resource/);
  await page.goto(`${daemon.url}/plans`);
  await page.getByText("Nothing waits.").waitFor();
  await page.route("**/api/plans?*", (route) => route.fulfill(broken));
  const note = page.getByRole("status").filter({ hasText: "This is as it was" });
  await note.waitFor({ timeout: 120_000 });
  await page.getByText("Nothing waits.").waitFor();
  await page.unroute("**/api/plans?*");
  await note.getByRole("button", { name: "Try again" }).click();
  await note.waitFor({ state: "detached" });
  expect(faults).toEqual([]);
  await context.close();
});

it("a view that waits does not say that there is nothing", async () => {
  const { page, context, faults, expected } = await visit(browser, daemon.url);
  expected.push(/Failed to load resource/);
  let answer = () => {};
  const slow = new Promise<void>((go) => (answer = go));
  await page.route("**/api/events?*", async (route) => {
    await slow;
    await route.fulfill(broken);
  });
  await page.goto(`${daemon.url}/events`);
  await page.getByRole("status").filter({ hasText: "Loading events" }).waitFor();
  expect(await page.getByText("Nothing has happened yet").count()).toBe(0);
  answer();
  await page.getByText("its log says why").waitFor({ timeout: 120_000 });
  await page.unroute("**/api/events?*");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("region", { name: "Events" }).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

it("a socket that does not open is told, and the views that need it wait", async () => {
  const { page, context, faults } = await visit(browser, daemon.url);
  await page.routeWebSocket(/\/ws\/orchestrator/, (socket) => void socket.close());
  await page.goto(`${daemon.url}/scheduler`);
  await page.getByRole("alert").filter({ hasText: "The picture of the cluster cannot be loaded" }).waitFor();
  expect(await page.getByText("Nothing waits: every instance").count()).toBe(0);
  expect(faults).toEqual([]);
  await context.close();
});

it("every list is filtered by /, and the filter and the sorting are in its address", async () => {
  const { page, context, faults } = await visit(browser, daemon.url);
  for (const view of ["workloads", "resources", "nodes", "events", "operations", "plans", "audit", "secrets", "tokens"]) {
    await page.goto(`${daemon.url}/${view}`);
    await page.getByText("live", { exact: true }).waitFor();
    const filter = page.locator("[data-filter]");
    await filter.waitFor();
    await page.keyboard.press("/");
    await page.waitForFunction(() => document.activeElement?.hasAttribute("data-filter"));
    await page.keyboard.type("zz");
    await page.waitForURL(/[?&]q=zz/);
    await page.reload();
    await expect.poll(() => filter.inputValue(), { timeout: 60_000 }).toBe("zz");
  }
  await page.goto(`${daemon.url}/workloads`);
  const ready = page.getByRole("columnheader", { name: "Ready" });
  await ready.getByRole("button").click();
  await ready.getByRole("button").click();
  await page.waitForURL(/sort=-Ready/);
  await page.reload();
  await expect.poll(() => ready.getAttribute("aria-sort"), { timeout: 60_000 }).toBe("descending");
  await page.goto(`${daemon.url}/operations?id=op_nothing`);
  await page.getByText("There is no such operation").waitFor();
  await page.goto(`${daemon.url}/console?tool=workload_scale&mode=operate`);
  await page.getByLabel("replicas", { exact: true }).fill("2");
  await page.getByText(/^curl -s .*\/mcp\?mode=operate/).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

it("a hidden tab rests, and goes on where it was when it is looked at again", async () => {
  const { page, context, faults } = await visit(browser, daemon.url);
  await page.addInitScript(() => {
    const state = window as unknown as { away: boolean };
    state.away = false;
    Object.defineProperty(Document.prototype, "hidden", { get: () => state.away });
  });
  const show = (away: boolean) =>
    page.evaluate((away) => {
      (window as unknown as { away: boolean }).away = away;
      document.dispatchEvent(new Event("visibilitychange"));
    }, away);
  await page.goto(`${daemon.url}/workloads`);
  await page.getByText("live", { exact: true }).waitFor();
  await show(true);
  await page.getByText("paused", { exact: true }).waitFor({ timeout: 120_000 });
  await daemon.deploy("meanwhile");
  await show(false);
  await page.getByText("live", { exact: true }).waitFor();
  await page.getByRole("link", { name: "meanwhile" }).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

it("commands name the organisation that was chosen", async () => {
  await daemon.call("POST", "/api/orgs", { name: "acme" });
  const { page, context, faults } = await visit(browser, daemon.url);
  await page.goto(`${daemon.url}/workloads`);
  await page.getByText("univrs workload ls", { exact: true }).waitFor();
  await page.getByLabel("Organisation").selectOption("acme");
  await page.getByText("No workloads yet").waitFor();
  await page.getByText("univrs --org acme workload ls", { exact: true }).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

it("what ends all of a workload is confirmed by its name, though nothing is removed", async () => {
  const { page, context, faults } = await visit(browser, daemon.url);
  await page.goto(`${daemon.url}/workloads/web`);
  const dialog = page.getByRole("dialog");
  await page.getByRole("button", { name: "Scale" }).click();
  await dialog.getByLabel("Instances").fill("0");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await dialog.getByText("A person has to agree to this").waitFor();
  const button = dialog.getByRole("button", { name: "Scale" });
  expect(await button.getAttribute("aria-disabled")).toBe("true");
  await dialog.getByLabel("Type web to confirm").fill("web");
  await button.click();
  await dialog.waitFor({ state: "detached" });
  await page.getByText("0 of 0 ready").waitFor();
  expect(faults).toEqual([]);
  await context.close();
});
