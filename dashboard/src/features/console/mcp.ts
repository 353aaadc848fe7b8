// The MCP server as the console talks to it: one JSON-RPC request by HTTP each, the same way as any client.

import { problemFrom } from "../../api/problem";
import { credentials, session } from "../../api/session";
import { quoted } from "../../ui/cli";
import type { Schema } from "./schema-form";

export type Mode = "observe" | "operate" | "admin";

export interface Tool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: Schema;
  readonly annotations?: { readOnlyHint?: boolean; destructiveHint?: boolean };
}

export interface Result {
  readonly content: { type: string; text?: string }[];
  readonly structuredContent?: Record<string, unknown>;
  readonly isError?: boolean;
}

let next = 0;

async function call<T>(mode: Mode, method: string, params?: unknown): Promise<T> {
  next += 1;
  const reply = await fetch("/mcp", {
    method: "POST",
    headers: {
      ...credentials(),
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": "2025-11-25",
      "X-Univrs-Mode": mode,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: next, method, params }),
  });
  const body: unknown = await reply.json().catch(() => null);
  if (!reply.ok) throw problemFrom(reply.status, body);
  const { result, error } = body as { result?: T; error?: { message: string } };
  if (error) throw new Error(error.message);
  return result as T;
}

/** The call of a tool as a command. A token goes into the variable that `univrs` reads too; it is not written out here. */
export function lineOf(mode: Mode, name: string, args: Record<string, unknown>, { token } = session()): string {
  const message = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: args } });
  const who = token ? ` -H "authorization: Bearer $UNIVRS_TOKEN"` : "";
  const address = `${location.origin}/mcp${mode === "observe" ? "" : `?mode=${mode}`}`;
  return `curl -s ${quoted(address)}${who} -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' -d ${quoted(message)}`;
}

export async function listTools(mode: Mode): Promise<Tool[]> {
  const { tools } = await call<{ tools: Tool[] }>(mode, "tools/list");
  return tools;
}

export function callTool(mode: Mode, name: string, args: Record<string, unknown>): Promise<Result> {
  return call<Result>(mode, "tools/call", { name, arguments: args });
}
