#!/usr/bin/env bash
# How quick the page and the tools of AI operators are, against what they promise: faces.sh <univrs> <directory for
# results>. Needs Chromium and Node, as the dashboard's tests do; a promise that is missed fails the part.
set -uo pipefail
bin=$(realpath "$1")
out=$(realpath "$2")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d /tmp/univrs-bench.XXXXXX)
. "$here/daemon.sh"
trap 'kill -9 "$daemon" 2>/dev/null; rm -rf "$work"' EXIT
"$here/../chromium.sh" || fail "there is no browser to measure in"
"$here/../dashboard-packages.sh" || fail "the dashboard's packages could not be installed"

start_daemon --runtime simulated --overcommit cpu=100,memory=100
timeout 600 node "$here/../../dashboard/e2e/measure.mjs" "$api" | tee "$out/faces.json"
[ "${PIPESTATUS[0]}" = 0 ] || { echo "a promise was missed, or it could not be measured" >&2; exit 1; }
