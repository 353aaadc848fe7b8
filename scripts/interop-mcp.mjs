// Both TypeScript SDKs list the tools, call one and read its structured content.
import assert from "node:assert";
import { Client as First } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as FirstTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Client as Second, StreamableHTTPClientTransport as SecondTransport } from "@modelcontextprotocol/client";

const url = new URL(process.argv[2]);
const info = { name: "interop", version: "1" };

async function check(name, client, transport) {
  await client.connect(transport);
  const { tools } = await client.listTools();
  assert(tools.length > 10 && tools.every((tool) => tool.outputSchema));
  const result = await client.callTool({ name: "cluster_overview", arguments: {} });
  assert.equal(result.structuredContent.health, "healthy");
  const refused = await client.callTool({ name: "workload_delete", arguments: { name: "probe" } });
  assert(refused.isError && refused.content[0].text.startsWith("denied"));
  console.log(name, tools.length, "tools");
  await client.close();
}

await check("v1", new First(info), new FirstTransport(url));
await check("v2", new Second(info, { versionNegotiation: { mode: "auto" } }), new SecondTransport(url));
