// The demo's way through the dashboard, with a picture of each step. Any fault of the page ends it.
//
//   node demo.mjs ADDRESS FOLDER [oci|simulated]

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

const [home, folder, runtime = "simulated"] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "light", reducedMotion: "reduce" });
const page = await context.newPage();
page.setDefaultTimeout(60_000);
const faults = [];
page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
page.on("pageerror", (error) => faults.push(error.message));

const say = (text) => process.stdout.write(`${text}\n`);
const picture = async (name) => {
  await page.waitForTimeout(250);
  await page.screenshot({ path: join(folder, `dashboard-${name}.png`) });
};
const heading = (name) => titled(name).waitFor();
// Again while the two letters come too far apart to be one.
const go = async (letter, seen) => {
  for (let tries = 1; ; tries += 1) {
    await page.keyboard.press("g");
    await page.keyboard.press(letter);
    if (await seen.waitFor({ timeout: 5_000 }).then(() => true, () => tries === 20)) return seen.waitFor();
  }
};
const titled = (name) => page.getByRole("heading", { level: 1, name, exact: true });
const dialog = page.getByRole("dialog");

try {
  say("overview");
  await page.goto(home);
  await heading("Overview");
  await page.getByText("live", { exact: true }).waitFor();

  say("deploy a workload by the form");
  await page.getByRole("link", { name: "Deploy" }).first().click();
  await heading("Deploy a workload");
  await page.getByLabel("Name", { exact: true }).fill("shop");
  await page.getByLabel("Image", { exact: true }).fill("univrs/orchestrator:dev");
  await page.getByLabel("Instances").fill("3");
  await page.getByLabel("Memory").fill("128Mi");
  if (runtime === "simulated") {
    await page.getByLabel("Environment").fill("SIMULATE_SAYS=GET /orders/{n} 200 in 12 ms\nSIMULATE_SAYS_EVERY=100ms");
  } else {
    await page.getByLabel("Port").fill("8080");
    await page.getByLabel("Health path").fill("/healthz");
  }
  await picture("deploy");
  await page.getByRole("button", { name: "Show the plan" }).click();
  await dialog.getByText("3 instances").waitFor();
  await picture("plan");
  await dialog.getByRole("button", { name: "Deploy" }).click();

  say("watch the rollout");
  await heading("shop");
  await page.getByText("3 of 3 ready").waitFor();
  await picture("workload");

  say("read logs");
  await page.getByRole("link", { name: "Logs" }).click();
  await page.getByRole("log").locator("time").nth(2).waitFor();
  await picture("logs");

  say("open the graph");
  await go("p", page.locator("canvas[data-drawn='1']"));
  await page.getByRole("button", { name: /demo/ }).click();
  await picture("network");

  say("run an MCP tool in the console");
  await go("m", titled("MCP console"));
  await page.getByRole("button", { name: "workload_scale" }).click();
  await page.getByLabel("Mode").selectOption("operate");
  await page.getByLabel("name", { exact: true }).fill("shop");
  await page.getByLabel("replicas", { exact: true }).fill("4");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("button", { name: "Run plan_apply" }).waitFor();
  await picture("console");
  await page.getByRole("button", { name: "Run plan_apply" }).click();
  await page.getByRole("heading", { name: "Answer of plan_apply" }).waitFor();

  say("make a resource by the wizard");
  await go("c", titled("Catalogue"));
  // Simulated containers pass no checks; the tests' template without them shows the way as well.
  const template = runtime === "simulated" ? "Rehearsal" : "Univrs control plane";
  await page.getByRole("link", { name: template, exact: true }).click();
  await page.getByLabel("Name", { exact: true }).fill("store");
  await page.getByRole("button", { name: "Review the plan" }).click();
  await page.getByRole("button", { name: "Create store" }).waitFor();
  await picture("resource-plan");
  await page.getByRole("button", { name: "Create store" }).click();
  await heading("store");
  await page.getByText("active", { exact: true }).first().waitFor({ timeout: 90_000 });
  await picture("resource");

  say("price a topology");
  await page.goto(`${home}/topology`);
  const example = new URL("../../examples/aurigraph.toml", import.meta.url);
  await page.locator("input[type=file]").setInputFiles({ name: "aurigraph.toml", mimeType: "text/plain", buffer: readFileSync(example) });
  await page.getByText("It can be built as it stands.").waitFor();
  await picture("topology");

  say("overview of what runs, in the dark");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto(home);
  await page.getByText("1 of 1").first().waitFor();
  await page.getByText("shop").first().waitFor();
  await picture("overview");
  if (faults.length > 0) throw new Error(`the page had faults: ${faults.join("; ")}`);
} catch (error) {
  await page.screenshot({ path: join(folder, "dashboard-failed.png") }).catch(() => undefined);
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
