#!/usr/bin/env bash
# Outside suites against the live API: promtool on the metrics, schemathesis on the OpenAPI document, MCP clients.
set -uo pipefail
bin=$(realpath "${1:-target/release/univrs}")
work=$(mktemp -d /tmp/univrs-interop.XXXXXX)
api=http://127.0.0.1:18080
daemon=
# A daemon of its own for a suite: what one leaves behind is not what the next expects.
start() {
  local data=$work/$1
  "$bin" up --data-dir "$data" --api 127.0.0.1:18080 --runtime simulated >"$data.log" 2>&1 &
  daemon=$!
  until curl -fsS -m 1 $api/readyz >/dev/null 2>&1; do kill -0 $daemon || { cat "$data.log" >&2; exit 1; }; sleep 0.1; done
  curl -fsS -X POST $api/api/workloads -d '{"name":"probe","image":"sim/probe:1","replicas":3}' >/dev/null
}
stop() { [ -z "$daemon" ] || { kill "$daemon"; wait "$daemon" 2>/dev/null; daemon=; }; }
trap 'stop; rm -rf "$work"' EXIT
start rest
failed=0
if ! command -v promtool >/dev/null; then
  # The tool alone: the package would start a server.
  tool=target/promtool
  if [ ! -x $tool/usr/bin/promtool ]; then
    echo "installing promtool into $tool, from the package prometheus" >&2
    mkdir -p $tool
    (cd $tool && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } &&
      dpkg -x prometheus_*.deb . && rm -f prometheus_*.deb) >&2 || true
  fi
  PATH=$PATH:$PWD/$tool/usr/bin
fi
if command -v promtool >/dev/null; then
  echo "== promtool check metrics"
  curl -fsS $api/metrics | promtool check metrics || failed=1
else
  echo "== promtool: NOT RUN, it could not be installed (apt-get install prometheus)"
fi
if [ ! -x target/venv/bin/schemathesis ]; then
  python3 -m venv target/venv && target/venv/bin/pip install --quiet schemathesis==4.32.5
fi
if [ -x target/venv/bin/schemathesis ]; then
  echo "== schemathesis"
  target/venv/bin/schemathesis --config-file scripts/schemathesis.toml run $api/api/openapi.json --max-examples "${UNIVRS_EXAMPLES:-30}" \
    --exclude-path-regex '^/ws/|/exec$|/proxy$|/logs$|^/api/images/(pull|push|self|import)' || failed=1
else
  echo "== schemathesis: NOT RUN, it could not be installed (needs python3-venv)"
fi
stop
if command -v tofu >/dev/null || command -v terraform >/dev/null; then
  echo "== emitted OpenTofu roots through a real tofu or terraform, against stand-in providers"
  roots=()
  for example in aurigraph freetier pluresdb; do
    "$bin" topology emit "examples/$example.toml" --out "target/interop/$example" >/dev/null 2>&1 || failed=1
    roots+=("target/interop/$example")
  done
  scripts/interop-tofu.sh "${roots[@]}"; code=$?
  [ "$code" = 0 ] || [ "$code" = 3 ] || failed=1
else
  echo "== emitted OpenTofu roots: NOT RUN, neither tofu nor terraform is installed (they were checked against schemas in make test)"
fi
echo "== emitted roots for Hetzner Cloud, validated by its real provider"
scripts/interop-hcloud.sh "$bin"; code=$?
[ "$code" = 0 ] || [ "$code" = 3 ] || failed=1
echo "== certificates by ACME, from Pebble"
scripts/interop-acme.sh "$bin"; code=$?
[ "$code" = 0 ] || [ "$code" = 3 ] || failed=1
echo "== PostgreSQL: a point in time, and a replica that takes over"
scripts/interop-pitr.sh "$bin"; code=$?
[ "$code" = 0 ] || [ "$code" = 3 ] || failed=1
echo "== IPFS cluster and object storage"
scripts/images.sh kubo ipfs-cluster s3 balancer || failed=1
scripts/interop-ipfs.sh "$bin"; code=$?
[ "$code" = 0 ] || [ "$code" = 3 ] || failed=1
echo "== MCP"
start mcp
"$(dirname "$0")/interop-mcp.sh" "$bin" $api || failed=1
exit $failed
