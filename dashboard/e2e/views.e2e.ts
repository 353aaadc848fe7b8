// Every view, light and dark, at three widths: it shows its heading, nothing of it fails, and axe finds nothing serious.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { launch, visit } from "./browser";
import { Daemon } from "./daemon";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const VIEWS: [path: string, heading: string][] = [
  ["/", "Overview"], ["/workloads", "Workloads"], ["/workloads/web", "web"], ["/workloads/web?tab=logs", "web"], ["/workloads/web?tab=terminal", "web"],
  ["/workloads/web?tab=events", "web"], ["/workloads/web?tab=why", "web"], ["/workloads/web?tab=history", "web"], ["/workloads/web?tab=spec", "web"],
  ["/workloads/nobody", "nobody"], ["/resources", "Resources"], ["/resources/db", "db"], ["/resources/db?tab=credentials", "db"], ["/resources/db?tab=backups", "db"],
  ["/resources/db?tab=logs", "db"], ["/resources/nobody", "nobody"], ["/catalogue", "Catalogue"], ["/catalogue?template=rehearsal-db", "New Rehearsal"], ["/deploy", "Deploy a workload"], ["/nodes", "Nodes"], ["/network", "Network"], ["/events", "Events"],
  ["/scheduler", "Scheduler"], ["/scheduler?workload=search", "Scheduler"], ["/topology", "Topology"], ["/operations", "Operations"], ["/plans", "Approvals"],
  ["/audit", "Audit"], ["/secrets", "Secrets"], ["/tokens", "Tokens and access"], ["/console", "MCP console"],
];

let daemon: Daemon;
let browser: Browser;

beforeAll(async () => {
  daemon = await Daemon.start("--template-dir", fileURLToPath(new URL("./templates", import.meta.url)));
  browser = await launch();
  await daemon.deploy("web", 2);
  await daemon.call("POST", "/api/workloads", { name: "search", image: "shop/search:1", placement: { constraints: ["cloud == gcp"] } });
  await daemon.call("PUT", "/api/secrets/db", { value: "not to be seen" });
  await daemon.call("POST", "/api/tokens", { name: "ci", grant: "operate", ttl: "1h" });
  await daemon.call("DELETE", "/api/workloads/web?dry_run=true");
  await daemon.call("POST", "/api/resources", { name: "db", template: "rehearsal-db" });
  await daemon.settled("web", 2);
});
afterAll(async () => {
  await browser?.close();
  await daemon?.end();
});

async function findings(page: Page): Promise<string[]> {
  // The policy refuses scripts in the page; axe comes by the debugger, as its text.
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run: (options: unknown) => Promise<{ violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }> } };
    const { violations } = await axe.run({ resultTypes: ["violations"] });
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return serious.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`));
  });
}

describe.each([
  [1440, false], [1440, true], [900, false], [390, true],
] as const)("at a width of %i, dark: %s", (width, dark) => {
  it("every view stands, is accessible and asks nothing of anyone else", async () => {
    const { page, faults, context } = await visit(browser, daemon.url, { width, dark, height: width < 500 ? 844 : 900 });
    const found: string[] = [];
    for (const [path, heading] of VIEWS) {
      await page.goto(daemon.url + path);
      await page.getByRole("heading", { level: 1, name: heading, exact: true }).waitFor();
      await page.getByRole("status").filter({ hasText: "live" }).waitFor();
      await page.waitForTimeout(150);
      found.push(...(await findings(page)).map((finding) => `${path}: ${finding}`));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) found.push(`${path}: the page is ${wide} px wider than the screen`);
    }
    expect(found).toEqual([]);
    expect(faults).toEqual([]);
    await context.close();
    // Thirty views, each looked through by axe: minutes on a machine that does much else.
  }, 600_000);
});

it("an address that is no view says so, and keeps the menu", async () => {
  const { page, faults, context } = await visit(browser, daemon.url);
  await page.goto(`${daemon.url}/nothing/here`);
  await page.getByText("There is no such view").waitFor();
  await page.getByRole("link", { name: "Workloads" }).click();
  await page.getByRole("heading", { level: 1, name: "Workloads" }).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

it("no value of a secret is anywhere", async () => {
  const { page, context } = await visit(browser, daemon.url);
  const bodies: string[] = [];
  page.on("response", (response) => void response.text().then((text) => bodies.push(text), () => undefined));
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => bodies.push(String(payload))));
  for (const path of ["/secrets", "/audit", "/workloads/web?tab=spec", "/plans"]) {
    await page.goto(daemon.url + path);
    await page.getByRole("status").filter({ hasText: "live" }).waitFor();
    await page.waitForTimeout(300);
    bodies.push(await page.content());
  }
  expect(bodies.length).toBeGreaterThan(10);
  expect(bodies.filter((body) => body.includes("not to be seen"))).toEqual([]);
  await context.close();
});
