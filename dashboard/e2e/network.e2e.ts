// The network view: regions and nodes from every server; connections and gossip only where the server tells of them.
// The network socket is played here as `docs/network-socket.md` writes it, so that any network can be shown.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";

import { launch, visit } from "./browser";
import { Daemon } from "./daemon";

let daemon: Daemon;
let browser: Browser;

beforeAll(async () => {
  daemon = await Daemon.start();
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await daemon?.end();
});

/** Says that the server has the socket, and plays both sockets: a few nodes, and what they tell. */
async function played(page: Page): Promise<void> {
  await page.route("**/api/openapi.json", (route) => route.fulfill({ json: { paths: { "/ws/network": {} } } }));
  const template = (await daemon.call<{ items: Record<string, unknown>[] }>("GET", "/api/nodes")).items[0];
  const node = (id: string, cloud: string, region: string) => ({ ...template, id, name: id.replace("nd_", ""), location: { cloud, region, zone: "a", operator: "o" } });
  const nodes = [node("nd_one", "aws", "us-east-1"), node("nd_two", "gcp", "europe-west1"), node("nd_three", "azure", "eastus")];
  await page.addInitScript((nodes) => {
    const at = "2026-01-01T00:00:00Z";
    const link = (from: string, to: string, path: string, rtt_us: number) => ({ from, to, path, rtt_us });
    const told = { node: "nd_one", peers: [{ node: "nd_two", standing: "live", connected: true, path: "punched", rtt_us: 87_000 }], links: [link("nd_one", "nd_two", "punched", 87_000), link("nd_two", "nd_one", "punched", 90_000), link("nd_two", "nd_three", "relayed", 240_000)] };
    class Played {
      static readonly OPEN = 1;
      readyState = 1;
      onopen: (() => void) | null = null;
      onmessage: ((message: { data: string }) => void) | null = null;
      onclose: (() => void) | null = null;
      revision = 0;
      constructor(readonly url: string) {
        (window as unknown as { sockets: Played[] }).sockets ??= [];
        (window as unknown as { sockets: Played[] }).sockets.push(this);
        setTimeout(() => this.onopen?.());
      }
      say(type: string, data: unknown) {
        this.revision += 1;
        this.onmessage?.({ data: JSON.stringify({ type, revision: this.revision, at, data }) });
      }
      send() {
        if (this.url.includes("/ws/network")) this.say("snapshot", told);
        else this.say("snapshot", { workloads: [], instances: [], nodes, operations: [], resources: [] });
      }
      close() {
        this.onmessage = null;
        this.onclose = null;
      }
    }
    (window as unknown as { WebSocket: unknown }).WebSocket = Played;
  }, nodes);
}

/** Lets the played network socket say something. */
async function says(page: Page, type: string, data: unknown): Promise<void> {
  await page.waitForFunction(() => {
    const sockets = (window as unknown as { sockets?: { url: string; revision: number }[] }).sockets ?? [];
    return (sockets.filter((socket) => socket.url.includes("/ws/network")).at(-1)?.revision ?? 0) > 0;
  });
  await page.evaluate(
    ([type, data]) => {
      type Played = { url: string; say: (type: string, data: unknown) => void; revision: number };
      const open = (window as unknown as { sockets: Played[] }).sockets.filter((socket) => socket.url.includes("/ws/network")).at(-1);
      open?.say(type, data);
    },
    [type, data] as const,
  );
}

it("without the socket there is the graph and nothing that does not work", async () => {
  const { page, context, faults } = await visit(browser, daemon.url);
  await page.route("**/api/openapi.json", (route) => route.fulfill({ json: { paths: {} } }));
  const opened: string[] = [];
  page.on("websocket", (socket) => opened.push(socket.url()));
  await page.goto(`${daemon.url}/network`);
  await page.locator("canvas[data-drawn='1']").waitFor();
  await page.getByText("1 node in 1 region").waitFor();
  expect(await page.getByText("Gossip").count()).toBe(0);
  expect(await page.getByRole("note", { name: "What the lines mean" }).count()).toBe(0);
  expect(opened.some((url) => url.includes("/ws/network"))).toBe(false);
  expect(faults).toEqual([]);
  await context.close();
});

it("with it, connections are drawn and listed by path and round trip, and follow what is told", async () => {
  const { page, context, faults } = await visit(browser, daemon.url);
  await played(page);
  await page.goto(`${daemon.url}/network`);
  // Both nodes of a connection tell of it; it is one line.
  await page.locator("canvas[data-drawn='3'][data-links='2']").waitFor();
  await page.getByText("3 nodes in 3 regions, 2 connections").waitFor();
  await page.getByRole("row", { name: "two – three by way of another 240 ms" }).or(page.getByRole("row", { name: "three – two by way of another 240 ms" })).waitFor();
  await page.getByRole("row", { name: "one – two through a router 87 ms" }).waitFor();
  await page.getByRole("note", { name: "What the lines mean" }).waitFor();
  await page.getByRole("button", { name: "two" }).first().click();
  await page.getByText("punched, 87 ms").waitFor();
  await says(page, "link", { from: "nd_one", to: "nd_three", path: "direct", rtt_us: 900 });
  await page.locator("canvas[data-links='3']").waitFor();
  await page.getByRole("row", { name: "900 µs" }).waitFor();
  await says(page, "link_gone", { from: "nd_one", to: "nd_three" });
  await page.locator("canvas[data-links='2']").waitFor();
  // The server says that something was missed: the socket begins again, and nothing is lost from the view.
  await says(page, "resync", null);
  await page.locator("canvas[data-links='2']").waitFor();
  await page.waitForFunction(() => (window as unknown as { sockets: { url: string }[] }).sockets.filter((socket) => socket.url.includes("/ws/network")).length > 1);
  await page.getByText("may be out of date").waitFor({ state: "detached" });
  expect(faults).toEqual([]);
  await context.close();
});

it("gossip is filtered, held still and looked into; texts of strangers are only text", async () => {
  const { page, context, faults } = await visit(browser, daemon.url);
  await played(page);
  await page.goto(`${daemon.url}/network`);
  await page.getByText("Nothing was called out yet").waitFor();
  const at = "2026-01-01T00:00:00Z";
  await says(page, "reputation", { topic: "reputation", author: "nd_two", at, body: { about: "nd_three", score: 0.93 } });
  await says(page, "message", { topic: "version", author: "nd_three", at, body: { version: "<img src=x onerror=alert(1)>\u202e" } });
  const rows = page.getByRole("region", { name: "Gossip messages" }).getByRole("row");
  await page.getByText("<img src=x onerror=alert(1)>⟨202E⟩").first().waitFor();
  await expect.poll(() => rows.count(), { timeout: 60_000 }).toBe(3);
  await page.getByRole("button", { name: "Pause" }).click();
  await says(page, "message", { topic: "announce", author: "nd_two", at, body: { roles: ["business"] } });
  await page.getByText("Held still; 1 new message since.").waitFor();
  expect(await rows.count()).toBe(3);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByText("3 messages").waitFor();
  await page.getByLabel("Topic").selectOption("reputation");
  await page.getByText("1 message", { exact: true }).waitFor();
  await page.getByLabel("Topic").selectOption("");
  await page.getByRole("searchbox", { name: "Filter messages" }).fill("0.93");
  await page.getByText("1 message", { exact: true }).waitFor();
  await rows.last().click();
  await page.getByLabel("Body of the message").getByText('"score": 0.93').waitFor();
  expect(faults).toEqual([]);
  await context.close();
});
