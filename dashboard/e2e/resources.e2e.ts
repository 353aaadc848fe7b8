// One-click resources in the page, against the real server with simulated containers: made by the wizard, looked at,
// changed, backed up, restored and destroyed; refused, failed, over quota; and the input of a wizard outlives its session.

import { fileURLToPath } from "node:url";

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";

import { go, launch, seek, visit, type Visit } from "./browser";
import { Daemon, until } from "./daemon";

const templates = fileURLToPath(new URL("./templates", import.meta.url));
const PATIENCE = { timeout: 180_000 };

let daemon: Daemon;
let browser: Browser;
let now: Visit;
let page: Page;

beforeAll(async () => {
  daemon = await Daemon.start("--template-dir", templates);
  browser = await launch();
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
const status = (text: string) => page.getByText(text, { exact: true }).first();

/** Makes one through the API and waits until it is there. */
async function made(name: string, template = "rehearsal-db"): Promise<void> {
  await daemon.call("POST", "/api/resources", { name, template });
  await settled(name, "ACTIVE");
}

/** Waits until no change of it is under way and it stands so. */
async function settled(name: string, wanted: string): Promise<void> {
  const there = await until(async () => {
    const { status, operation } = await daemon.call<{ status: string; operation: string }>("GET", `/api/resources/${name}`);
    const change = await daemon.call<{ status: string }>("GET", `/api/operations/${operation}`);
    return status === wanted && change.status !== "running";
  });
  if (!there) throw new Error(`${name} did not become ${wanted}`);
}

it("is made by the wizard: template, configuration, plan with quota and price, then its stages live", async () => {
  await page.goto(daemon.url);
  await heading("Overview").waitFor();
  await go(page, "r", "Resources");
  await page.getByText("No resources yet").waitFor();
  await page.getByRole("link", { name: "New resource" }).click();
  await heading("Catalogue").waitFor();
  await page.getByRole("button", { name: "database", exact: true }).click();
  await page.getByRole("searchbox").fill("rehearsal");
  await page.getByRole("link", { name: "Rehearsal", exact: true }).click();
  await heading("New Rehearsal").waitFor();
  await page.getByLabel("Name", { exact: true }).fill("Main DB");
  await page.getByLabel("cpu (optional)").fill("5");
  await page.getByRole("button", { name: "Review the plan" }).click();
  await page.getByText("Lower-case letters, digits and hyphens").waitFor();
  await page.getByText("At most 1.", { exact: true }).waitFor();
  await page.getByLabel("Name", { exact: true }).fill("maindb");
  await page.getByLabel("cpu (optional)").fill("500m");
  await page.getByLabel("Provider").selectOption("mesh");
  await page.getByText("univrs resource create --template rehearsal-db --name maindb --provider mesh --set cpu=500m").waitFor();
  await page.getByRole("button", { name: "Review the plan" }).click();
  await page.getByText("$3.50 a month").waitFor();
  await page.getByText("500 m, 64 MiB of memory, 0 B of disk").waitFor();
  await page.getByRole("row", { name: "CPU 500 m of any number" }).waitFor();
  await page.getByRole("button", { name: "Create maindb" }).click();
  await heading("maindb").waitFor();
  await page.getByRole("list", { name: "Stages" }).getByText("Verify").waitFor();
  await status("active").waitFor(PATIENCE);
  // The resource is active a moment before its operation has ended.
  await expect.poll(() => page.getByRole("list", { name: "Stages" }).getByText("done").count(), PATIENCE).toBe(6);
  await page.getByRole("link", { name: "maindb", exact: true }).waitFor();
  const view = await daemon.call<{ parameters: { cpu: string }; provider: string }>("GET", "/api/resources/maindb");
  expect([view.parameters.cpu, view.provider]).toEqual(["500m", "mesh"]);
  // What was made is not offered again, and the palette finds it.
  expect(await page.evaluate(() => sessionStorage.getItem("univrs.resource.rehearsal-db"))).toBeNull();
  await seek(page, "maindb", "maindb resource");
});

it("shows its credentials on demand, says that this is recorded, and forgets them", async () => {
  await made("keys");
  await page.goto(`${daemon.url}/resources/keys?tab=credentials`);
  await page.getByText("Each look is recorded in the audit log").waitFor();
  const before = await daemon.call<{ items: unknown[] }>("GET", "/api/audit?limit=1000");
  expect(JSON.stringify(before.items)).not.toContain("resource_credentials");
  await page.getByRole("button", { name: "Reveal the credentials" }).click();
  const { password } = await daemon.call<{ password: string }>("GET", "/api/resources/keys/credentials");
  await page.getByText(password).waitFor();
  await page.getByRole("button", { name: "Copy password" }).click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText()), PATIENCE).toBe(password);
  await page.getByRole("button", { name: "Hide" }).click();
  await page.getByText(password).waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Who looked" }).click();
  await heading("Audit").waitFor();
  await page.getByText(/resource.credentials/).first().waitFor();
});

it("is scaled, rotated, backed up and restored, each after its plan", async () => {
  await made("shop");
  await page.goto(`${daemon.url}/resources/shop`);
  await page.getByRole("button", { name: "Scale" }).click();
  await dialog().getByLabel("memory (optional)").fill("128Mi");
  await dialog().getByRole("button", { name: "Show the plan" }).click();
  await dialog().getByText("univrs resource scale shop --set memory=128Mi").waitFor();
  await dialog().getByRole("button", { name: "Scale", exact: true }).click();
  await dialog().waitFor({ state: "detached" });
  await page.getByText("200 m, 128 MiB of memory, 0 B of disk").waitFor(PATIENCE);
  // The server itself says when the change is over; the page may show the state before it for a moment.
  await settled("shop", "ACTIVE");

  const login = () => daemon.call<{ password: string }>("GET", "/api/resources/shop/credentials");
  const { password } = await login();
  await page.getByRole("button", { name: "Rotate credentials" }).click();
  await dialog().getByRole("button", { name: "Rotate", exact: true }).click();
  await page.getByRole("heading", { name: "Replacing its credentials" }).waitFor();
  await settled("shop", "ACTIVE");
  expect((await login()).password).not.toBe(password);

  await page.getByRole("link", { name: "Backups" }).click();
  await page.getByText("No backups yet").waitFor();
  await page.getByRole("button", { name: "Back up now" }).click();
  await dialog().getByRole("button", { name: "Back up", exact: true }).click();
  await page.getByText("4 KiB").waitFor(PATIENCE);
  await settled("shop", "ACTIVE");
  await page.getByRole("button", { name: "Restore" }).click();
  const restore = dialog().getByRole("button", { name: "Restore" });
  await dialog().getByText("A person has to agree to this").waitFor();
  expect(await restore.getAttribute("aria-disabled")).toBe("true");
  await dialog().getByLabel("Type shop to confirm").fill("shop");
  await restore.click();
  await dialog().waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Summary" }).click();
  await page.getByRole("heading", { name: "Restoring it" }).waitFor();
  await settled("shop", "ACTIVE");

  await page.getByRole("link", { name: "Logs" }).click();
  await page.getByRole("log", { name: "Log of shop" }).getByText("ready for maindb").first().waitFor();
});

it("is destroyed only by its name", async () => {
  await made("gone");
  await page.goto(`${daemon.url}/resources/gone`);
  await page.getByRole("button", { name: "Destroy" }).click();
  const button = dialog().getByRole("button", { name: "Destroy" });
  await dialog().getByLabel("Type gone to confirm").fill("gon");
  expect(await button.getAttribute("aria-disabled")).toBe("true");
  await dialog().getByLabel("Type gone to confirm").fill("gone");
  await button.click();
  await heading("Resources").waitFor();
  await page.getByRole("link", { name: "gone", exact: true }).waitFor({ state: "detached", ...PATIENCE });
});

it("that cannot be made says which stage failed and why, and what to do next", async () => {
  await daemon.call("POST", "/api/resources", { name: "bad", template: "rehearsal-broken" });
  await page.goto(`${daemon.url}/resources/bad`);
  await page.getByText("Everything made so far was taken back").waitFor(PATIENCE);
  await page.getByText(/no such device/).first().waitFor();
  await page.getByRole("list", { name: "Stages" }).getByText("failed").waitFor();
  await expect.poll(() => page.getByRole("button", { name: "Scale" }).getAttribute("title"), PATIENCE).toContain("destroy it and make it again");
  await page.goto(`${daemon.url}/resources?status=FAILED`);
  await page.getByRole("link", { name: "bad", exact: true }).waitFor();
});

it("over quota: the review says so before anything is made", async () => {
  await daemon.call("PUT", "/api/orgs/default/quota", { cpu: "1m" });
  try {
    now.expected.push(/the server responded with a status of 4\d\d/);
    await page.goto(`${daemon.url}/catalogue?template=rehearsal-db`);
    await page.getByLabel("Name", { exact: true }).fill("toomuch");
    await page.getByRole("button", { name: "Review the plan" }).click();
    await page.getByRole("alert").getByText(/more than 1m/).first().waitFor();
    await page.getByRole("button", { name: "Back" }).click();
    expect(await page.getByLabel("Name", { exact: true }).inputValue()).toBe("toomuch");
  } finally {
    await daemon.call("PUT", "/api/orgs/default/quota", {});
  }
});

it("a session that ends in the middle of the wizard keeps what was typed", async () => {
  now.expected.push(/the server responded with a status of 401/);
  await page.goto(`${daemon.url}/catalogue?template=rehearsal-db`);
  await page.getByLabel("Name", { exact: true }).fill("survivor");
  await page.getByLabel("cpu (optional)").fill("300m");
  let over = true;
  const ended = { title: "Sign in", status: 401, detail: "tk_1 expired", code: "unauthenticated" };
  await page.route("**/api/**", (route) => (over ? route.fulfill({ status: 401, contentType: "application/problem+json", body: JSON.stringify(ended) }) : route.continue()));
  await page.getByRole("button", { name: "Review the plan" }).click();
  await page.getByLabel("API token").waitFor();
  over = false;
  const { token } = await daemon.call<{ token: string }>("POST", "/api/tokens", { name: "again", grant: "operate", ttl: "1h" });
  await page.getByLabel("API token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  // The same step, with the same input, under the new session.
  await page.getByRole("button", { name: "Create survivor" }).waitFor();
  await page.getByText("--set cpu=300m").first().waitFor();
  await page.getByRole("button", { name: "Back" }).click();
  expect(await page.getByLabel("cpu (optional)").inputValue()).toBe("300m");
});

it("an observer sees everything but credentials, with the reasons", async () => {
  await made("seen");
  const { token } = await daemon.call<{ token: string }>("POST", "/api/tokens", { name: "watch", grant: "observe", ttl: "1h" });
  await page.addInitScript((text) => sessionStorage.setItem("univrs.token", text), token);
  await page.goto(`${daemon.url}/resources/seen?tab=credentials`);
  for (const name of ["Scale", "Rotate credentials", "Destroy", "Reveal the credentials"]) {
    const button = page.getByRole("button", { name });
    await button.waitFor();
    await expect.poll(() => button.getAttribute("title"), PATIENCE).toContain("your access does not include resource");
  }
  await page.goto(`${daemon.url}/catalogue?template=rehearsal-db`);
  await expect.poll(() => page.getByRole("button", { name: "Review the plan" }).getAttribute("title"), PATIENCE).toContain("does not include resource write");
});

it("errors of the API keep the catalogue usable: said, with another try; a template that is gone is said too", async () => {
  now.expected.push(/Failed to load resource/);
  let broken = true;
  await page.route("**/api/templates?*", (route) =>
    broken ? route.fulfill({ status: 500, contentType: "application/problem+json", body: JSON.stringify({ title: "The server failed", status: 500, detail: "its log says why", code: "internal" }) }) : route.continue(),
  );
  await page.goto(`${daemon.url}/catalogue`);
  await page.getByText("its log says why").waitFor(PATIENCE);
  broken = false;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("link", { name: "Rehearsal", exact: true }).waitFor();
  await page.goto(`${daemon.url}/catalogue?template=nothing`);
  await page.getByText("There is no such template").waitFor();
  await page.goto(`${daemon.url}/resources/nobody`);
  await page.getByText("There is no such resource").waitFor();
});
