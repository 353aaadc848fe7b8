// The real binary with the simulated runtime, on a directory and a port of its own, and requests to its API.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const binary = resolve(process.env.UNIVRS_BIN ?? "../target/debug/univrs");

/** A port below those that the kernel gives to whoever asks for any, so that nobody gets it while its server is down. */
export function freePort(): Promise<number> {
  const port = 20_000 + Math.floor(Math.random() * 12_000);
  return new Promise((found) => {
    const server = createServer();
    server.on("error", () => found(freePort()));
    server.listen(port, "127.0.0.1", () => server.close(() => found(port)));
  });
}

/** Longer than anything takes on a busy machine, in milliseconds. */
const PATIENCE = 180_000;

/** Waits until `test` holds; answers whether it did. */
export async function until(test: () => Promise<boolean>): Promise<boolean> {
  const end = Date.now() + PATIENCE;
  for (;;) {
    if (await test()) return true;
    if (Date.now() > end) return false;
    await new Promise((later) => setTimeout(later, 50));
  }
}

export class Daemon {
  readonly url: string;
  private child: ChildProcess | null = null;
  private log = "";

  private constructor(private readonly dir: string, private readonly address: string, private readonly more: readonly string[]) {
    this.url = `http://${address}`;
  }

  static async start(...more: string[]): Promise<Daemon> {
    const daemon = new Daemon(mkdtempSync(join(tmpdir(), "univrs-dashboard.")), `127.0.0.1:${await freePort()}`, more);
    await daemon.up();
    return daemon;
  }

  /** Starts it on its directory, anew or again. */
  up(): Promise<void> {
    return this.listen(this.address);
  }

  /** Starts it again at another address of this machine; what comes back is where it is reached. */
  async reopen(address: string): Promise<string> {
    await this.listen(address);
    return `http://${address}`;
  }

  private async listen(address: string): Promise<void> {
    const place = ["--name", "alpha", "--cloud", "aws", "--region", "us-east-1", "--zone", "a"];
    const child = spawn(binary, ["up", "--data-dir", this.dir, "--api", address, "--runtime", "simulated", ...place, ...this.more], { stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (part: Buffer) => (this.log += part.toString()));
    const ready = () => fetch(`http://${address}/readyz`).then((reply) => reply.ok, () => false);
    await until(async () => child.exitCode !== null || (await ready()));
    if (await ready()) return;
    throw new Error(`the daemon did not become ready:\n${this.log}`);
  }

  /** Ends the process as a crash does; the directory stays. */
  async crash(): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null) return;
    const gone = new Promise((ended) => child.once("exit", ended));
    child.kill("SIGKILL");
    await gone;
  }

  async end(): Promise<void> {
    await this.crash();
    rmSync(this.dir, { recursive: true, force: true });
  }

  async call<T = unknown>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const reply = await fetch(this.url + path, {
      method,
      headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${method} ${path} answered ${reply.status}: ${text}`);
    return (text ? JSON.parse(text) : null) as T;
  }

  /** A workload that is simulated: it writes lines and can be made to fail. */
  async deploy(name: string, replicas = 1, labels: Record<string, string> = {}): Promise<void> {
    const env = { SIMULATE_SAYS: "starting\n\u001b[32mready\u001b[0m\n!warning: \u001b[1;31mdisk slow\u001b[0m \u202eevil\nrequest {n} served", SIMULATE_SAYS_EVERY: "200ms" };
    await this.call("POST", "/api/workloads", { name, replicas, labels, containers: [{ name: "app", image: "demo/web:1", env }], update: { min_healthy: "300ms" } });
  }

  async settled(name: string, ready: number): Promise<void> {
    const there = await until(async () => {
      const workload = await this.call<{ status: string; ready: number }>("GET", `/api/workloads/${name}`);
      return workload.ready === ready && workload.status === "running";
    });
    if (!there) throw new Error(`${name} did not get ${ready} ready instances`);
  }
}
