// What happens when things go wrong around the page: the server restarts, refuses, fails, floods or wants a token.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { resolve } from "node:path";

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";

import { launch, visit } from "./browser";
import { Daemon, freePort, until } from "./daemon";
import { proxy } from "./proxy";

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

it("the server restarts under an open page: it says so, and goes on by itself", async () => {
  const { page, context, faults, expected } = await visit(browser, daemon.url);
  expected.push(/WebSocket|ERR_CONNECTION|Failed to load resource/);
  await page.goto(`${daemon.url}/workloads`);
  await page.getByText("live", { exact: true }).waitFor();
  await daemon.crash();
  await page.getByText("stale", { exact: true }).waitFor();
  await page.getByRole("link", { name: "web" }).waitFor();
  await daemon.up();
  await page.getByText("live", { exact: true }).waitFor({ timeout: 120_000 });
  await daemon.deploy("after");
  await page.getByRole("link", { name: "after" }).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

it("errors of the API are shown with their next step, and can be tried again", async () => {
  const { page, context, faults, expected } = await visit(browser, daemon.url);
  expected.push(/Failed to load resource/);
  let broken = true;
  await page.route("**/api/secrets?*", (route) =>
    broken ? route.fulfill({ status: 500, contentType: "application/problem+json", body: JSON.stringify({ title: "The server failed", status: 500, detail: "its log says why", code: "internal" }) }) : route.continue(),
  );
  await page.goto(`${daemon.url}/secrets`);
  await page.getByText("its log says why").waitFor({ timeout: 120_000 });
  broken = false;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("No secrets yet").waitFor();
  await page.route("**/api/tokens?*", (route) => route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify({ title: "Not allowed", status: 403, detail: "token_read is not yours", code: "denied" }) }));
  await page.goto(`${daemon.url}/tokens`);
  await page.getByText("You may not see this").waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

it("a server that wants a token asks for one, before anything else is served, and forgets no rule", async () => {
  const outside = Object.values(networkInterfaces()).flat().find((one) => one && one.family === "IPv4" && !one.internal)?.address;
  if (!outside) {
    process.stderr.write("skipped: this machine has no address but loopback\n");
    return;
  }
  const made = await daemon.call<{ token: string }>("POST", "/api/tokens", { name: "seen", grant: "observe", ttl: "1h" });
  // `univrs dashboard` off loopback lends nothing: it forwards only what carries a token.
  const port = await freePort();
  const child = spawn(resolve(process.env.UNIVRS_BIN ?? "../target/debug/univrs"), ["dashboard", "--listen", `${outside}:${port}`, "--server", daemon.url], { stdio: "ignore" });
  const home = `http://${outside}:${port}`;
  try {
    await until(() => fetch(home).then(() => true, () => false));
    expect((await fetch(`${home}/api/workloads`)).status).toBe(401);
    const { page, context, faults, expected } = await visit(browser, home);
    expected.push(/Failed to load resource/, /Cross-Origin-Opener-Policy/);
    await page.goto(`${home}/workloads`);
    await page.getByLabel("API token").fill("nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("The server does not take the token").waitFor();
    await page.getByLabel("API token").fill(made.token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("link", { name: "web" }).click();
    // An observer sees why it may not write.
    const scale = page.getByRole("button", { name: "Scale" });
    await scale.waitFor();
    expect(await scale.getAttribute("aria-disabled")).toBe("true");
    expect(await scale.getAttribute("title")).toContain("does not include workload write");
    expect(faults).toEqual([]);
    await context.close();
  } finally {
    child.kill();
    await once(child, "exit");
  }
});

it("an API off loopback answers the sign-in page with 401, and opens by a token", async () => {
  const outside = Object.values(networkInterfaces()).flat().find((one) => one && one.family === "IPv4" && !one.internal)?.address;
  if (!outside) {
    process.stderr.write("skipped: this machine has no address but loopback\n");
    return;
  }
  const { token } = await daemon.call<{ token: string }>("POST", "/api/tokens", { name: "door", grant: "admin", ttl: "1h" });
  await daemon.crash();
  const address = `${outside}:${await freePort()}`;
  const opened = await daemon.reopen(address);
  try {
    for (const path of ["/", "/assets/x.js", "/api/workloads", "/metrics"]) {
      expect((await fetch(opened + path, { headers: { Accept: "text/html" } })).status, path).toBe(401);
    }
    const { page, context, faults, expected } = await visit(browser, opened);
    expected.push(/Failed to load resource/, /Cross-Origin-Opener-Policy/);
    await page.goto(`${opened}/nodes`);
    await page.getByLabel("API token").fill("nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("does not take this token").waitFor();
    await page.getByLabel("API token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("link", { name: "alpha" }).waitFor();
    await page.getByText("live", { exact: true }).waitFor();
    // The cookie opens files only: what it alone accompanies is refused.
    expect(await page.evaluate(async () => (await fetch("/api/nodes")).status)).toBe(401);
    expect(faults).toEqual([]);
    await context.close();
  } finally {
    await daemon.crash();
    await daemon.up();
  }
});

it("a name with markup is text", async () => {
  const { page, context, faults } = await visit(browser, daemon.url);
  await daemon.deploy("markup", 1, { note: "<img src=x onerror=alert(1)>" });
  await page.goto(`${daemon.url}/workloads/markup`);
  await page.getByText("<img src=x onerror=alert(1)>").waitFor();
  await page.goto(`${daemon.url}/workloads/%3Cscript%3Ealert(1)%3C%2Fscript%3E`);
  await page.getByText("There is no such workload").waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

it("50,000 events in 10 seconds and 5,000 nodes: none is hidden, and the page goes on", async () => {
  const { page, context, faults } = await visit(browser, daemon.url);
  const template = (await daemon.call<{ items: Record<string, unknown>[] }>("GET", "/api/nodes")).items[0];
  const nodes = Array.from({ length: 5000 }, (_, at) => ({ ...template, id: `nd_${at}`, name: `node-${at}`, location: { cloud: `c${at % 4}`, region: `r${at % 9}`, zone: "a", operator: "o" } }));
  // The socket is played within the page: 50,000 messages through the browser's debugger would measure the debugger.
  await page.addInitScript((snapshot) => {
    class Played extends EventTarget {
      static readonly OPEN = 1;
      readyState = 1;
      onopen: (() => void) | null = null;
      onmessage: ((message: { data: string }) => void) | null = null;
      onclose: (() => void) | null = null;
      constructor() {
        super();
        setTimeout(() => this.onopen?.());
      }
      send() {
        this.onmessage?.({ data: snapshot });
        let sent = 0;
        const timer = setInterval(() => {
          for (let at = 0; at < 500; at += 1, sent += 1) {
            const data = { at: "2026-01-01T00:00:00Z", kind: "instance_started", severity: "info", message: `event ${sent}` };
            this.onmessage?.({ data: JSON.stringify({ type: "event", revision: 2 + sent, at: data.at, data }) });
          }
          if (sent >= 50_000) clearInterval(timer);
        }, 100);
      }
      close() {
        this.onmessage = null;
      }
    }
    (window as unknown as { WebSocket: unknown }).WebSocket = Played;
  }, JSON.stringify({ type: "snapshot", revision: 1, at: "2026-01-01T00:00:00Z", data: { workloads: [], instances: [], nodes, operations: [] } }));
  await page.goto(`${daemon.url}/network`);
  await page.locator("canvas[data-drawn='5000']").waitFor({ timeout: 120_000 });
  for (const key of ["ArrowLeft", "ArrowUp", "+", "-", "0"]) await page.locator("canvas").press(key);
  await page.locator("canvas[data-drawn='5000']").waitFor();
  await page.goto(`${daemon.url}/events`);
  await page.getByText("event 49999").waitFor({ timeout: 180_000 });
  expect(faults).toEqual([]);
  await context.close();
});

it("a million log lines and one of ten megabytes are shown, searched and followed", async () => {
  const lines = 999_999;
  const between = await proxy(daemon.url, "/api/workloads/web/logs", (response) => {
    response.writeHead(200, { "Content-Type": "application/x-ndjson" });
    response.write(`${JSON.stringify({ at: "2026-01-01T00:00:00Z", stream: "stderr", instance: "in_0", container: "app", text: "x".repeat(10_000_000) })}\n`);
    let at = 0;
    const more = () => {
      let room = true;
      while (room && at < lines) {
        const end = Math.min(lines, at + 5000);
        let part = "";
        for (; at < end; at += 1) part += `{"at":"2026-01-01T00:00:00Z","stream":"stdout","instance":"in_${at % 3}","container":"app","text":"line ${at} of many"}\n`;
        room = response.write(part);
      }
      if (at < lines) response.once("drain", more);
      else response.end();
    };
    more();
  });
  const { page, context, faults } = await visit(browser, between.url);
  try {
    await page.goto(`${between.url}/workloads/web`);
    await page.getByText("2 of 2 ready").waitFor();
    await page.getByRole("link", { name: "Logs" }).click();
    await page.getByText("1,000,000 lines").waitFor({ timeout: 180_000 });
    await page.getByText("line 999998 of many").waitFor();
    await page.getByRole("searchbox").fill("line 999998");
    await page.getByText(/^1 of 1,000,000 lines/).waitFor();
    await page.getByRole("searchbox").fill("xxx");
    await page.getByText("more characters; the download has them").waitFor();
    expect(faults).toEqual([]);
  } finally {
    await context.close();
    between.end();
  }
});

it("the files are the binary's own: compressed, tagged, kept, and nothing of the API is shadowed", async () => {
  const page = await fetch(daemon.url, { headers: { "Accept-Encoding": "br" } });
  expect(page.headers.get("content-security-policy")).not.toContain("unsafe");
  const text = await page.text();
  const asset = /\/assets\/index-[^"]+\.js/.exec(text)?.[0] ?? "";
  const script = await fetch(daemon.url + asset, { headers: { "Accept-Encoding": "br" } });
  expect(script.headers.get("content-encoding")).toBe("br");
  expect(script.headers.get("cache-control")).toContain("immutable");
  const tag = script.headers.get("etag") ?? "";
  expect((await fetch(daemon.url + asset, { headers: { "If-None-Match": tag } })).status).toBe(304);
  expect((await fetch(`${daemon.url}/api/nothing`, { headers: { Accept: "text/html" } })).status).toBe(404);
  expect((await fetch(`${daemon.url}/workloads/web`, { headers: { Accept: "text/html" } })).status).toBe(200);
  expect((await fetch(`${daemon.url}/workloads/web`)).status).toBe(404);
});
