// How quick the page and the tools are, against what they promise. Prints one JSON object a line; ends with 1 when
// a promise is missed. Measures, not tests: they need a machine that does nothing else.
//
//   node measure.mjs ADDRESS

import { createServer, request } from "node:http";
import { connect } from "node:net";

import { chromium } from "playwright-core";

const home = process.argv[2];
let missed = false;

function result(measure, value, unit, most, more = {}) {
  const kept = value <= most;
  missed ||= !kept;
  process.stdout.write(`${JSON.stringify({ part: "faces", measure, value: Number(value.toFixed(2)), unit, most, kept, ...more })}\n`);
}
const percentile = (values, share) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor((values.length * share) / 100))] ?? Infinity;

async function call(method, path, body, headers = {}) {
  const reply = await fetch(home + path, { method, headers: { "Content-Type": "application/json", ...headers }, body: body && JSON.stringify(body) });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${method} ${path} answered ${reply.status}: ${text}`);
  return JSON.parse(text);
}

/** What a tool call takes beyond the API request that it makes, in milliseconds. */
async function tools() {
  const asked = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "node_list", arguments: {} } };
  const accept = { Accept: "application/json, text/event-stream" };
  const tool = [];
  const plain = [];
  for (let at = 0; at < 2200; at += 1) {
    const begun = performance.now();
    await call("GET", "/api/nodes");
    const between = performance.now();
    await call("POST", "/mcp", asked, accept);
    if (at >= 200) {
      plain.push(between - begun);
      tool.push(performance.now() - between);
    }
  }
  result("tool call beyond its API request", percentile(tool, 99) - percentile(plain, 50), "ms p99", 5, { calls: tool.length, tool_p50_ms: percentile(tool, 50), api_p50_ms: percentile(plain, 50) });
}

/** The address of a server that answers one path by itself and passes the rest on. */
async function before(path, answer) {
  const target = new URL(home);
  const server = createServer((asked, response) => {
    if (asked.url?.startsWith(path)) return answer(response);
    const passed = request(new URL(asked.url, target), { method: asked.method, headers: asked.headers }, (reply) => {
      response.writeHead(reply.statusCode, reply.headers);
      reply.pipe(response);
    });
    passed.on("error", () => response.destroy());
    asked.pipe(passed);
  });
  server.on("upgrade", (asked, socket, head) => {
    const onward = connect(Number(target.port), target.hostname, () => {
      onward.write(`GET ${asked.url} HTTP/1.1\r\n${asked.rawHeaders.reduce((lines, part, at) => lines + (at % 2 ? `: ${part}\r\n` : part), "")}\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { url: `http://127.0.0.1:${server.address().port}`, end: () => (server.closeAllConnections(), server.close()) };
}

/** A page whose socket tells `snapshot` and then `rate` events a second. */
async function played(browser, snapshot, rate) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce" });
  await page.addInitScript(
    ({ snapshot, rate }) => {
      window.sentAt = [];
      class Played {
        static OPEN = 1;
        readyState = 1;
        constructor() {
          setTimeout(() => this.onopen?.());
        }
        send() {
          const at = "2026-01-01T00:00:00Z";
          this.onmessage?.({ data: JSON.stringify({ type: "snapshot", revision: 1, at, data: snapshot }) });
          if (rate === 0) return;
          const begun = performance.now();
          setInterval(() => {
            while (window.sentAt.length < ((performance.now() - begun) * rate) / 1000) {
              const number = window.sentAt.push(performance.now()) - 1;
              const data = { at, kind: "instance_started", severity: "info", message: `event ${number} told` };
              this.onmessage?.({ data: JSON.stringify({ type: "event", revision: 2 + number, at, data }) });
            }
          }, 4);
        }
        close() {
          this.onmessage = null;
        }
      }
      window.WebSocket = Played;
    },
    { snapshot, rate },
  );
  return page;
}

const empty = { workloads: [], instances: [], nodes: [], operations: [], resources: [] };

/** From the answer to the address to the first rows, with the processor four times as slow. */
async function firstView(browser) {
  const names = Array.from({ length: 200 }, (_, at) => `load-${String(at).padStart(3, "0")}`);
  for (const name of names) await call("POST", "/api/workloads", { name, image: "demo/web:1" }).catch((error) => { if (!String(error).includes("409")) throw error; });
  const times = [];
  for (let round = 0; round < 5; round += 1) {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    const session = await page.context().newCDPSession(page);
    await session.send("Emulation.setCPUThrottlingRate", { rate: 4 });
    await page.goto(`${home}/workloads`, { waitUntil: "commit" });
    times.push(await page.evaluate(() => new Promise((seen) => {
      const look = () => (document.querySelector("tbody tr td a") ? seen(performance.now()) : requestAnimationFrame(look));
      look();
    })));
    await page.close();
  }
  result("first useful view, 4 times slower, 200 workloads", percentile(times, 50), "ms median", 1500, { rounds: times.length });
}

async function eventsToPixels(browser) {
  const page = await played(browser, empty, 500);
  await page.goto(`${home}/events`);
  await page.getByText(/event \d+ told/).first().waitFor();
  const late = await page.evaluate(() => new Promise((done) => {
    const found = [];
    let shown = -1;
    const end = performance.now() + 10_000;
    const look = () => {
      const texts = [...document.querySelectorAll("tbody td")].map((cell) => /^event (\d+) told$/.exec(cell.textContent)?.[1]).filter(Boolean);
      const newest = Math.max(-1, ...texts.map(Number));
      // Every event that this frame shows for the first time.
      for (let at = shown + 1; at <= newest; at += 1) found.push(performance.now() - window.sentAt[at]);
      shown = Math.max(shown, newest);
      if (performance.now() < end) requestAnimationFrame(look);
      else done(found);
    };
    requestAnimationFrame(look);
  }));
  result("event to pixel at 500 events a second", percentile(late, 95), "ms p95", 250, { events: late.length });
  await page.close();
}

async function graph(browser) {
  const [template] = (await call("GET", "/api/nodes")).items;
  const nodes = Array.from({ length: 5000 }, (_, at) => ({ ...template, id: `nd_${at}`, name: `node-${at}`, location: { cloud: `c${at % 4}`, region: `r${at % 9}`, zone: "a", operator: "o" } }));
  const page = await played(browser, { ...empty, nodes }, 0);
  await page.goto(`${home}/events`);
  await page.getByText("Nothing has happened yet").or(page.getByRole("table")).first().waitFor();
  const first = await page.evaluate(() => new Promise((seen) => {
    const begun = performance.now();
    document.querySelector('a[href="/network"]').click();
    const look = () => (document.querySelector("canvas[data-drawn='5000']") ? seen(performance.now() - begun) : requestAnimationFrame(look));
    look();
  }));
  result("graph of 5,000 nodes, first frame", first, "ms", 500);
  const frames = await page.evaluate(async () => {
    const canvas = document.querySelector("canvas");
    const times = [];
    for (let at = 0; at < 120; at += 1) {
      canvas.dispatchEvent(new KeyboardEvent("keydown", { key: ["ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"][at % 4], bubbles: true }));
      const begun = performance.now();
      await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
      times.push(performance.now() - begun);
    }
    return times;
  });
  result("graph of 5,000 nodes, a step of a pan", percentile(frames, 95), "ms p95", 60, { steps: frames.length });
  await page.close();
}

async function logs(browser) {
  const lines = 1_000_000;
  const between = await before("/api/workloads/load-000/logs", (response) => {
    response.writeHead(200, { "Content-Type": "application/x-ndjson" });
    let at = 0;
    const more = () => {
      let room = true;
      while (room && at < lines) {
        let part = "";
        for (const end = Math.min(lines, at + 5000); at < end; at += 1) part += `{"at":"2026-01-01T00:00:00Z","stream":"stdout","instance":"in_${at % 3}","container":"app","text":"line ${at} of many"}\n`;
        room = response.write(part);
      }
      if (at < lines) response.once("drain", more);
      else response.end();
    };
    more();
  });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(() => {
    window.long = [];
    new PerformanceObserver((list) => window.long.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "longtask" });
  });
  await page.goto(`${between.url}/workloads/load-000`);
  await page.getByText(/of 1 ready/).first().waitFor();
  await page.evaluate(() => window.long.splice(0));
  const begun = performance.now();
  await page.getByRole("link", { name: "Logs" }).click();
  await page.getByText("1,000,000 lines").waitFor({ timeout: 120_000 });
  await page.getByRole("searchbox").fill("line 999998");
  await page.getByText(/^1 of 1,000,000 lines/).waitFor({ timeout: 60_000 });
  const seconds = (performance.now() - begun) / 1000;
  result("longest task with 1,000,000 log lines", Math.max(0, ...(await page.evaluate(() => window.long))), "ms", 100, { seconds: Number(seconds.toFixed(1)) });
  await page.close();
  between.end();
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
try {
  await tools();
  await firstView(browser);
  await eventsToPixels(browser);
  await graph(browser);
  await logs(browser);
} finally {
  await browser.close();
}
process.exitCode = missed ? 1 : 0;
