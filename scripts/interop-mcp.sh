#!/usr/bin/env bash
# Outside MCP programs against a running server: the official conformance suite, the Inspector, and the SDKs' clients.
# Usage: interop-mcp.sh PROGRAM API. Packages go to target/interop-mcp.
set -uo pipefail
bin=$(realpath "$1")
api=$2
here=$(dirname "$(realpath "$0")")
work=target/interop-mcp
mkdir -p "$work"
failed=0

# The suite and the Inspector need Node 22; npm's `node` package brings one.
if [ ! -x "$work/node_modules/node/bin/node" ]; then
  command -v npm >/dev/null || { echo "== MCP: NOT RUN, npm is not installed (apt-get install npm)"; exit 0; }
  echo "installing Node 22, the conformance suite, the Inspector and two SDKs into $work"
  (cd "$work" && npm init -y >/dev/null && npm install --silent node@22.23.3 \
    @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0 \
    @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0)
  # Newer npm does not run install scripts unasked; this one fetches the program itself.
  [ -x "$work/node_modules/node/bin/node" ] || (cd "$work/node_modules/node" && node installArchSpecificPackage)
fi
node=$work/node_modules/node/bin/node
tools=$work/node_modules/.bin

# Left out of the suite, with the reason:
#   tools-call-*, prompts-get-*, resources-read-*, resources-templates-read, input-required-result-*, server-stateless,
#   json-schema-2020-12, tasks-*: need fixture tools that a production server must not offer.
#   logging-set-level, resources-subscribe, elicitation-*: features that are not declared.
scenarios() {
  case $1 in
    2026-07-28) echo completion-complete tools-list resources-list prompts-list sep-2164-resource-not-found \
      dns-rebinding-protection caching http-header-validation server-sse-multiple-streams ;;
    2025-11-25) echo server-initialize ping completion-complete tools-list resources-list prompts-list \
      dns-rebinding-protection ;;
  esac
}
for revision in 2026-07-28 2025-11-25; do
  for scenario in $(scenarios $revision); do
    if "$node" "$tools/conformance" server --url "$api/mcp" --spec-version $revision --scenario "$scenario" \
      >"$work/conformance.log" 2>&1; then
      echo "ok   conformance $revision $scenario"
    else
      echo "FAIL conformance $revision $scenario"
      cat "$work/conformance.log"
      failed=1
    fi
  done
done

check() {
  local name=$1
  shift
  if "$@" >"$work/check.log" 2>&1; then echo "ok   $name"; else echo "FAIL $name"; cat "$work/check.log"; failed=1; fi
}
check "Inspector over HTTP" "$node" "$tools/mcp-inspector" --cli "$api/mcp" --transport http --method tools/list --strict
check "Inspector over stdio" "$node" "$tools/mcp-inspector" --cli -e "UNIVRS_SERVER=$api" "$bin" mcp \
  --method tools/call --tool-name find_problems
cp "$here/interop-mcp.mjs" "$work/clients.mjs"
check "TypeScript SDK 1 and 2" "$node" "$work/clients.mjs" "$api/mcp"
if [ ! -x "$work/venv/bin/python" ]; then
  python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet mcp==2.3.0
fi
check "Python SDK" "$work/venv/bin/python" "$here/interop-mcp.py" "$api/mcp"
exit $failed
