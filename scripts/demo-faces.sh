#!/usr/bin/env bash
# The dashboard in a real browser: overview, deploy by the form, watch the rollout, read logs, open the graph, run an
# MCP tool. Pictures lie in target/demo/ afterwards. Exit code 0 only if every step showed what it should.
set -uo pipefail

bin=$(realpath "${1:-target/release/univrs}")
cd "$(dirname "$0")/.." || exit 1
out=$PWD/target/demo
work=$(mktemp -d /tmp/univrs-faces.XXXXXX)
source scripts/steps.sh
daemon=
result=1
cleanup() {
  trap - EXIT INT TERM
  [ -n "$daemon" ] && "$bin" down --data-dir "$work/data" >/dev/null 2>&1
  [ -n "$daemon" ] && kill "$daemon" 2>/dev/null
  rm -rf "$work"
  exit "$result"
}
trap cleanup EXIT
trap 'result=130; exit 130' INT TERM

if ! "$bin" version --client -o json | grep -q '"dashboard": *true'; then
  fail "this binary was built without the dashboard; install Node 20 or newer and run: make build"
fi
scripts/chromium.sh || exit 1
scripts/dashboard-packages.sh || exit 1
mkdir -p "$out"

# Real containers where this user may make them, simulated ones elsewhere, and it says which.
runtime=${DEMO_RUNTIME:-$([ "$(id -u)" = 0 ] && echo oci || echo simulated)}
# A template whose containers need not really serve, where they do not.
templates=()
[ "$runtime" = simulated ] && templates=(--template-dir dashboard/e2e/templates)
port=$(free_port 8080)
"$bin" up --data-dir "$work/data" --api "127.0.0.1:$port" --ingress "127.0.0.1:$(free_port 8880)" --runtime "$runtime" \
  "${templates[@]}" \
  --name demo --cloud home --region here --zone a >"$work/daemon.log" 2>&1 &
daemon=$!
for _ in $(seq 200); do
  curl -fsS -m 1 "http://127.0.0.1:$port/readyz" >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || fail "the daemon ended by itself"
  sleep 0.05
done
if [ "$runtime" != simulated ]; then
  "$bin" --server "http://127.0.0.1:$port" image self >/dev/null || fail "image self"
fi
echo "the dashboard is at http://127.0.0.1:$port ($runtime containers)"
begun=$(date +%s%N)
timeout 240 node dashboard/e2e/demo.mjs "http://127.0.0.1:$port" "$out" "$runtime" || fail "the dashboard's demo"
echo "in the browser: $((($(date +%s%N) - begun) / 1000000)) ms; pictures: target/demo/dashboard-*.png"
result=0
