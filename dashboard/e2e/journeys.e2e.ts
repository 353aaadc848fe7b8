// What people come for, done in the page against the real server.

import { fileURLToPath } from "node:url";

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";

import { go, launch, seek, visit, type Visit } from "./browser";
import { Daemon } from "./daemon";

let daemon: Daemon;
let browser: Browser;
let now: Visit;
let page: Page;

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
beforeEach(async () => {
  now = await visit(browser, daemon.url);
  page = now.page;
  return async () => {
    expect(now.faults).toEqual([]);
    await now.context.close();
  };
});

const dialog = () => page.getByRole("dialog");
const heading = (name: string) => page.getByRole("heading", { level: 1, name, exact: true });

it("deploys by the form, by keyboard alone, and watches it come up", async () => {
  await page.goto(daemon.url);
  await heading("Overview").waitFor();
  await go(page, "d", "Deploy a workload");
  await page.waitForFunction(() => document.activeElement?.id === "page-title");
  await page.keyboard.press("Tab");
  await page.keyboard.type("shop");
  await page.keyboard.press("Tab");
  await page.keyboard.type("demo/shop:1");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("3");
  await page.keyboard.press("Enter");
  await dialog().getByText("3 instances").waitFor();
  for (let tries = 0; tries < 30; tries += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement?.textContent === "Deploy")) break;
  }
  await page.keyboard.press("Enter");
  await heading("shop").waitFor();
  await page.getByText("3 of 3 ready").waitFor();
  expect((await daemon.call<{ ready: number }>("GET", "/api/workloads/shop")).ready).toBe(3);
  await seek(page, "web logs", "web logs");
  await page.keyboard.press("Enter");
  await page.getByRole("log", { name: "Log of web" }).waitFor();
  await page.getByText(/request \d+ served/).first().waitFor();
  await page.keyboard.press("?");
  await dialog().getByText("Find a view, a workload or a node").waitFor();
  await page.keyboard.press("Escape");
  await dialog().waitFor({ state: "detached" });
});

it("the form names each fault at its field, and the server's refusal as well", async () => {
  await page.goto(`${daemon.url}/deploy`);
  await page.getByLabel("Name", { exact: true }).fill("Web!");
  await page.getByRole("button", { name: "Show the plan" }).click();
  await page.getByText("Lower-case letters, digits and hyphens").waitFor();
  await page.getByText("Say which image to run.").waitFor();
  await page.getByLabel("Name", { exact: true }).fill("web");
  await page.getByText("There is a workload of this name").waitFor();
  await page.getByLabel("Name", { exact: true }).fill("fine");
  await page.getByLabel("Image", { exact: true }).fill("demo/x:1");
  await page.getByLabel("Where").fill("nonsense ~~ here");
  now.expected.push(/the server responded with a status of 4\d\d/);
  await page.getByRole("button", { name: "Show the plan" }).click();
  await dialog().getByRole("alert").getByText(/placement|constraint/).first().waitFor();
});

it("scales, updates, rolls back and deletes, each after its plan", async () => {
  await page.goto(`${daemon.url}/workloads/shop`);
  await page.getByRole("button", { name: "Scale" }).click();
  await dialog().getByLabel("Instances").fill("4");
  await dialog().getByRole("button", { name: "Show the plan" }).click();
  await dialog().getByText("univrs scale shop=4").waitFor();
  await dialog().getByRole("button", { name: "Scale" }).click();
  await page.getByText("4 of 4 ready").waitFor();

  await page.getByRole("button", { name: "Update" }).click();
  await dialog().getByLabel("Image").fill("demo/shop:2");
  await dialog().getByRole("button", { name: "Show the plan" }).click();
  await dialog().getByText("+ demo/shop:2").waitFor();
  await dialog().getByRole("button", { name: "Update" }).click();
  await page.getByText("4 in version 2").waitFor({ timeout: 180_000 });

  await page.getByRole("link", { name: "Roll back" }).click();
  await page.getByRole("button", { name: "Roll back to it" }).last().click();
  await dialog().getByText("+ demo/shop:1").waitFor();
  await dialog().getByRole("button", { name: "Roll back" }).click();
  await page.getByRole("link", { name: "Summary" }).click();
  await page.getByText("demo/shop:1").first().waitFor();

  await page.getByRole("button", { name: "Delete" }).click();
  const button = dialog().getByRole("button", { name: "Delete" });
  await dialog().getByLabel("Type shop to confirm").fill("shoo");
  expect(await button.getAttribute("aria-disabled")).toBe("true");
  await dialog().getByLabel("Type shop to confirm").fill("shop");
  await button.click();
  await heading("Workloads").waitFor();
  await page.getByRole("link", { name: "shop" }).waitFor({ state: "detached" });
});

it("two people edit one workload: both versions are shown, none is overwritten", async () => {
  await page.goto(`${daemon.url}/workloads/web?tab=spec`);
  const text = page.getByLabel("As JSON");
  const spec = JSON.parse(await text.inputValue()) as { priority: number };
  await text.fill(JSON.stringify({ ...spec, priority: 70 }, null, 2));
  await daemon.call("PATCH", "/api/workloads/web", { priority: 60 });
  await page.getByText("Somebody changed web while you were here").waitFor();
  await page.getByRole("cell", { name: "- 60" }).waitFor();
  await page.getByRole("cell", { name: "+ 70" }).waitFor();
  await page.getByRole("button", { name: "Keep mine" }).click();
  await page.getByRole("button", { name: "Show the plan" }).click();
  await dialog().getByText("- 60").waitFor();
  await dialog().getByRole("button", { name: "Change" }).click();
  await dialog().waitFor({ state: "detached" });
  expect((await daemon.call<{ spec: { priority: number } }>("GET", "/api/workloads/web")).spec.priority).toBe(70);
});

it("logs are searched, filtered and cleaned of what cannot be seen", async () => {
  await page.goto(`${daemon.url}/workloads/web?tab=logs`);
  const log = page.getByRole("log");
  await log.getByText(/request \d+ served/).first().waitFor();
  await page.getByRole("searchbox", { name: "Search the log" }).fill("disk slow");
  await log.getByText("⟨202E⟩evil").first().waitFor();
  expect(await log.locator(".sgr-red.sgr-bold").first().textContent()).toBe("disk slow");
  await page.getByText(/^2 of [\d,]+ lines$/).waitFor();
  expect(page.url()).toContain("q=disk");
  await page.reload();
  await page.getByText(/^2 of [\d,]+ lines$/).waitFor();
  await page.getByRole("searchbox").fill("");
  await page.getByRole("button", { name: "Only errors" }).click();
  await page.getByText(/^2 of [\d,]+ lines$/).waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
  expect(download.suggestedFilename()).toBe("web.log");
});

it("runs a command in an instance", async () => {
  await page.goto(`${daemon.url}/workloads/web?tab=terminal`);
  await page.getByRole("textbox", { name: "Command" }).fill("sh -c 'echo from inside; exit 3'");
  await page.getByLabel("Terminal", { exact: true }).uncheck();
  await page.getByRole("button", { name: "Run" }).click();
  await page.getByText("ended with exit code 3").waitFor();
  await page.waitForFunction(() => document.querySelector(".xterm-rows")?.textContent?.includes("from inside"));
});

it("cordons and uncordons a node, sees it in the graph, sets its labels", async () => {
  await page.goto(`${daemon.url}/nodes`);
  await page.getByRole("link", { name: "alpha" }).click();
  await page.getByRole("button", { name: "Cordon" }).click();
  await dialog().getByRole("button", { name: "Cordon" }).click();
  await page.getByRole("button", { name: "Uncordon" }).waitFor();
  await page.goto(`${daemon.url}/network`);
  await page.locator("canvas[data-drawn='1']").waitFor();
  await page.getByRole("button", { name: /alpha/ }).click();
  await page.getByRole("link", { name: "Open the node" }).click();
  await page.getByRole("button", { name: "Uncordon" }).click();
  await dialog().getByRole("button", { name: "Uncordon" }).click();
  await page.getByRole("button", { name: "Cordon", exact: true }).waitFor();
  await page.getByRole("button", { name: "Labels" }).click();
  await dialog().getByLabel("Labels").fill("disk=ssd");
  await dialog().getByRole("button", { name: "Show the plan" }).click();
  await dialog().getByRole("button", { name: "Set labels" }).click();
  await page.getByText("disk=ssd").first().waitFor();
});

it("a plan of an AI operator waits for a person, who agrees to it here", async () => {
  await daemon.deploy("gone");
  await page.goto(`${daemon.url}/console?tool=workload_delete`);
  const run = page.getByRole("button", { name: "Run", exact: false }).first();
  await page.getByText("writes", { exact: true }).first().waitFor();
  expect(await page.getByRole("button", { name: /^Run/ }).first().getAttribute("aria-disabled")).toBe("true");
  await page.getByLabel("Mode").selectOption("operate");
  await page.getByLabel("name", { exact: true }).fill("gone");
  await run.click();
  await page.getByRole("button", { name: "Run plan_apply" }).waitFor();
  await page.getByRole("link", { name: "Decide about it" }).click();
  await heading("Approvals").waitFor();
  await page.getByRole("button", { name: "Approve" }).click();
  await page.getByText("approved", { exact: true }).first().waitFor();
  // A plan is bound to who made it: the person agrees, the operator carries it out.
  expect(await page.getByRole("button", { name: /^Apply/ }).getAttribute("aria-disabled")).toBe("true");
  await page.getByRole("link", { name: "MCP console" }).click();
  await page.getByLabel("Mode").selectOption("operate");
  await page.getByRole("button", { name: /workload_delete done/ }).click();
  await page.getByRole("button", { name: "Run plan_apply" }).click();
  await page.getByRole("heading", { name: "Answer of plan_apply" }).waitFor();
  await page.getByText("applied", { exact: true }).first().waitFor();
});

it("finds problems in the console and keeps a history", async () => {
  await page.goto(`${daemon.url}/console`);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByLabel("What it says").waitFor();
  await page.getByRole("heading", { name: "History of this tab" }).waitFor();
});

it("checks, draws and prices a topology", async () => {
  await page.goto(`${daemon.url}/topology`);
  await page.locator("input[type=file]").setInputFiles(fileURLToPath(new URL("../../examples/aurigraph.toml", import.meta.url)));
  await page.getByText("It can be built as it stands.").waitFor({ timeout: 180_000 });
  await page.getByRole("cell", { name: "aws:us-east-1" }).waitFor();
  await page.getByLabel("Or paste it").fill("[topology]\nname = 7\n");
  await page.getByRole("button", { name: "Check, plan and price" }).click();
  await page.getByText("It cannot be built as it stands.").waitFor({ timeout: 180_000 });
});

it("sets a secret, makes a token and revokes it", async () => {
  await page.goto(`${daemon.url}/secrets`);
  await page.getByRole("button", { name: "Set a secret" }).click();
  await dialog().getByLabel("Name").fill("db-url");
  await dialog().getByLabel("Value").fill("hidden");
  await dialog().getByRole("button", { name: "Show the plan" }).click();
  await dialog().getByRole("button", { name: "Set", exact: true }).click();
  await page.getByRole("cell", { name: "db-url" }).waitFor();
  await page.goto(`${daemon.url}/tokens`);
  await page.getByRole("button", { name: "Make a token" }).click();
  await dialog().getByLabel("Name").fill("robot");
  await dialog().getByRole("button", { name: "Show the plan" }).click();
  await dialog().getByRole("button", { name: "Make", exact: true }).click();
  await page.getByText("The new token").waitFor();
  await page.getByRole("button", { name: "Revoke" }).click();
  await dialog().getByLabel("Type robot to confirm").fill("robot");
  await dialog().getByRole("button", { name: "Revoke" }).click();
  await page.getByText("revoked", { exact: true }).waitFor();
});
