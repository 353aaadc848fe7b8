#!/usr/bin/env bash
# Outside MCP programs against a running server: the official conformance suite, the Inspector, and the SDKs' clients.
# Usage: interop-mcp.sh PROGRAM API [FIXTURES]. FIXTURES is the example `conformance` of crates/faces/mcp, built when it
# is not given. Packages go to target/interop-mcp.
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

# What the suite asks of the server itself goes to the daemon; what needs tools, prompts and resources with prescribed
# answers goes to the fixtures, which have the daemon's transport and settings (crates/faces/mcp/examples/conformance.rs).
own() {
  case $1 in
    2026-07-28) echo completion-complete tools-list resources-list prompts-list sep-2164-resource-not-found \
      dns-rebinding-protection caching http-header-validation server-sse-multiple-streams ;;
    2025-11-25) echo server-initialize ping completion-complete tools-list resources-list prompts-list \
      dns-rebinding-protection server-sse-multiple-streams ;;
  esac
}
with_fixtures() {
  local both="tools-call-simple-text tools-call-image tools-call-audio tools-call-embedded-resource
    tools-call-mixed-content tools-call-error tools-call-with-progress resources-read-text resources-read-binary
    resources-templates-read prompts-get-simple prompts-get-with-args prompts-get-embedded-resource prompts-get-with-image"
  case $1 in
    2026-07-28) echo $both server-stateless input-required-result-basic-elicitation input-required-result-basic-sampling \
      input-required-result-basic-list-roots input-required-result-request-state \
      input-required-result-multiple-input-requests input-required-result-multi-round \
      input-required-result-missing-input-response input-required-result-non-tool-request \
      input-required-result-result-type input-required-result-unsupported-methods input-required-result-tampered-state \
      input-required-result-capability-check input-required-result-ignore-extra-params \
      input-required-result-validate-input ;;
    2025-11-25) echo $both tools-call-with-logging tools-call-sampling tools-call-elicitation \
      elicitation-sep1034-defaults elicitation-sep1330-enums logging-set-level resources-subscribe \
      resources-unsubscribe ;;
  esac
}
# Why a scenario is expected to fail; nothing for one that has to pass. Not run at all: scenarios that the suite does not
# score for a revision (tasks-*, json-schema-2020-12, http-custom-header-server-validation), of features not declared.
excuse() {
  case $1/$2 in
    2025-11-25/tools-call-with-logging | 2025-11-25/logging-set-level) echo "logging to the client is not declared" ;;
    2025-11-25/tools-call-sampling) echo "needs a session for requests to the client; sampling is not used" ;;
    2025-11-25/tools-call-elicitation | 2025-11-25/elicitation-sep1*)
      echo "/mcp keeps no sessions, so nothing is asked in the middle of a call; stdio and 2026-07-28 ask" ;;
    2025-11-25/resources-subscribe | 2025-11-25/resources-unsubscribe) echo "subscriptions are not declared" ;;
  esac
}
fixtures=${3:-}
if [ -z "$fixtures" ]; then
  cargo build --quiet --workspace --example conformance || { echo "FAIL the fixtures do not build"; exit 1; }
  fixtures=${CARGO_TARGET_DIR:-target}/debug/examples/conformance
fi
"$fixtures" >"$work/fixtures.port" &
fixtures_pid=$!
trap 'kill "$fixtures_pid" 2>/dev/null' EXIT
for _ in $(seq 100); do [ -s "$work/fixtures.port" ] && break; sleep 0.1; done
at_fixtures=http://127.0.0.1:$(cat "$work/fixtures.port")/mcp

scenario() { # revision, scenario, address
  local why
  why=$(excuse "$1" "$2")
  if "$node" "$tools/conformance" server --url "$3" --spec-version "$1" --scenario "$2" >"$work/conformance.log" 2>&1; then
    if [ -z "$why" ]; then echo "ok   conformance $1 $2"; else echo "FAIL conformance $1 $2 passes though it was expected to fail"; failed=1; fi
  elif [ -n "$why" ]; then
    echo "xfail conformance $1 $2: $why"
  else
    echo "FAIL conformance $1 $2"
    cat "$work/conformance.log"
    failed=1
  fi
}
for revision in 2026-07-28 2025-11-25; do
  for name in $(own $revision); do scenario $revision "$name" "$api/mcp"; done
  for name in $(with_fixtures $revision); do scenario $revision "$name" "$at_fixtures"; done
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
