"""The Python SDK lists the tools, calls one and reads its structured content."""

import asyncio
import sys

from mcp import Client


async def main(url: str) -> None:
    async with Client(url) as client:
        tools = (await client.list_tools()).tools
        assert len(tools) > 10 and all(tool.output_schema for tool in tools)
        result = await client.call_tool("cluster_overview", {})
        assert result.structured_content["health"] == "healthy", result
        print(len(tools), "tools")


asyncio.run(main(sys.argv[1]))
