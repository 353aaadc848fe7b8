#!/usr/bin/env bash
# What cluster.sh leaves out: wide.sh <univrs> <directory for results> [kills]. Fifty nodes: how long until all are ready,
# what an idle one takes, and what it sends. Six nodes: round trip of the encrypted network, an image of 200 MB from other
# nodes against the same from one registry, and how long a singleton is away when its machine dies.
set -uo pipefail
bin=$(realpath "$1")
out=$2
kills=${3:-5}
work=$(mktemp -d /tmp/univrs-bench.XXXXXX)
. "$(dirname "$0")/daemon.sh"
name=wide$$
export UNIVRS_LAB=$name UNIVRS_LAB_DIR=$work/lab
clouds=aws:us-east-1,azure:eastus,gcp:us-central1
helpers=()
trap 'for pid in "${helpers[@]}"; do kill "$pid" 2>/dev/null; done; "$bin" lab down >/dev/null 2>&1; rm -rf "$work"' EXIT
for tool in docker-registry python3 jq busybox; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt install docker-registry python3 jq busybox-static" >&2; exit 1; }
done
# A port of loopback that leads to the registry.
cat >"$work/forward.py" <<'PY'
import asyncio
async def pump(reader, writer):
    try:
        while data := await reader.read(1 << 18):
            writer.write(data); await writer.drain()
    finally:
        writer.close()
async def serve(reader, writer):
    far, out = await asyncio.open_connection("10.90.1.1", 5000)
    await asyncio.gather(pump(reader, out), pump(far, writer), return_exceptions=True)
async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", 5000) as server:
        await server.serve_forever()
asyncio.run(main())
PY

millis() { echo $((($(now) - $1) / 1000000)); }
percentile() { sort -n | awk -v p="$1" '{v[NR] = $1} END {i = int((NR - 1) * p / 100 + 0.999999) + 1; print v[(i > NR) ? NR : i]}'; }
on() { local node=$1; shift; ip netns exec "univrs-$name-$node" "$@"; }
raise() { # flags of the lab
  u lab up --clouds "$clouds" "$@" >/dev/null 2>"$work/up.log" || { cat "$work/up.log" >&2; fail "the lab did not come up"; }
  api=$(u lab status -o json | jq -r .api); export UNIVRS_SERVER=$api
}
lower() { u lab down >/dev/null 2>&1 || fail "the lab stayed"; }
wait_until() { # seconds, command...
  local seconds=$1 begun; shift; begun=$(now)
  until "$@" >/dev/null 2>&1; do
    [ "$(millis "$begun")" -gt $((seconds * 1000)) ] && return 1
    sleep 0.02
  done
}
running() { curl -fsS -m 2 "$api/api/workloads/$1/instances?limit=100" | jq -r '.items[] | select(.phase == "running" and .reachable != false) | .node_name'; }
are_running() { [ "$(running "$1" | wc -l)" = "$2" ]; }

many() {
  local begun; begun=$(now)
  raise --nodes 50 --no-delay --runtime simulated
  result wide "fifty nodes until all are ready" "$(millis "$begun")" ms
  sleep 30
  local nodes; mapfile -t nodes < <(u lab status -o json | jq -r '.nodes[] | "\(.name) \(.pid)"')
  local line before after; : >"$work/memory"; : >"$work/sent"
  sent() { on "$1" cat /proc/net/dev | awk '/eth|uv|veth/ {gsub(":", " "); sum += $10} END {print sum + 0}'; }
  for line in "${nodes[@]}"; do awk '/^Pss:/ {print $2 / 1024}' "/proc/${line#* }/smaps_rollup" >>"$work/memory"; done
  declare -A at; for line in "${nodes[@]}"; do at[${line% *}]=$(sent "${line% *}"); done
  before=$(now); sleep 20
  for line in "${nodes[@]}"; do
    after=$(sent "${line% *}")
    echo $(((after - at[${line% *}]) * 1000000000 / ($(now) - before))) >>"$work/sent"
  done
  for p in 50 99; do
    result wide "idle node of fifty, memory" "$(percentile $p <"$work/memory")" MB percentile=$p
    # All that leaves the machine: gossip, replication, probes of peers.
    result wide "idle node of fifty, sent" "$(percentile $p <"$work/sent")" B/s percentile=$p
  done
  lower
}

big_image() { # reference
  local at=$work/big; rm -rf "$at"; mkdir -p "$at/layer/bin"
  cp "$(command -v busybox)" "$at/layer/bin/busybox"
  head -c 200M /dev/urandom >"$at/layer/noise"
  tar -C "$at/layer" -cf "$at/layer.tar" bin noise; rm -r "$at/layer"
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/bin/busybox"],"Cmd":["sleep","3600"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(dpkg --print-architecture 2>/dev/null || echo amd64)" "$(sha256sum "$at/layer.tar" | cut -d' ' -f1)" >"$at/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$1" >"$at/manifest.json"
  tar -C "$at" -cf "$at.tar" manifest.json config.json layer.tar
  on n1 "$bin" --server http://127.0.0.1:8080 image import "$at.tar" >/dev/null || fail "n1 did not take the image"
  rm -rf "$at" "$at.tar"
}

images() {
  local begun node pids=()
  big_image bench/peers:1
  begun=$(now)
  curl -fsS -X POST "$api/api/workloads" -H 'Content-Type: application/json' -d '{"name": "big", "kind": "daemon",
    "containers": [{"name": "app", "image": "bench/peers:1", "resources": {"cpu": "10m", "memory": "16Mi"}}]}' >/dev/null || fail "the workload was refused"
  wait_until 300 are_running big 6 || fail "not all nodes run the image"
  result wide "200 MB to five nodes, until a container runs on each" "$(millis "$begun")" ms from=peers
  # The same from one registry that each node sees on its own loopback, where no TLS is needed.
  printf 'version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s/registry\nhttp:\n  addr: 10.90.1.1:5000\n' "$work" >"$work/registry.yml"
  on router docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 & helpers+=($!)
  for node in n1 n2 n3 n4 n5 n6; do
    on "$node" python3 "$work/forward.py" & helpers+=($!)
  done
  wait_until 30 on n6 curl -fsS -m 2 http://127.0.0.1:5000/v2/ || fail "the registry does not answer"
  big_image bench/registry:1
  on n1 "$bin" --server http://127.0.0.1:8080 image push bench/registry:1 --to 127.0.0.1:5000/bench/registry:1 >/dev/null || fail "the registry did not take it"
  begun=$(now)
  for node in n2 n3 n4 n5 n6; do
    on "$node" "$bin" --server http://127.0.0.1:8080 image pull 127.0.0.1:5000/bench/registry:1 >/dev/null & pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || fail "a node could not pull"; done
  result wide "200 MB to five nodes, until each has it unpacked" "$(millis "$begun")" ms from=registry
}

round_trips() {
  local own; own=$(on n1 "$bin" --server http://127.0.0.1:8080 node get n1 -o json | jq -r .block); own=${own%.0/*}.1
  micros() { on n2 busybox ping -q -c 20 "$1" | awk -F'[/ ]' '/^round-trip/ {print int($7 * 1000)}'; }
  result wide "round trip between two nodes" "$(micros 10.90.1.10)" us over=underlay
  result wide "round trip between two nodes" "$(micros "$own")" us over=wireguard
}

singletons() {
  curl -fsS -X POST "$api/api/workloads" -H 'Content-Type: application/json' -d '{"name": "one", "image": "one:1", "singleton": true}' >/dev/null || fail "the singleton was refused"
  wait_until 60 are_running one 1 || fail "the singleton did not run"
  : >"$work/away"
  elsewhere() { local at; at=$(running one); [ -n "$at" ] && [ "$at" != "$1" ]; }
  ready() { [ "$(curl -fsS -m 2 "$api/api/nodes" | jq '[.items[] | select(.state == "ready")] | length')" = 6 ]; }
  for _ in $(seq "$kills"); do
    local victim begun; victim=$(running one)
    begun=$(now); u lab kill --node "$victim" >/dev/null 2>&1
    wait_until 120 elsewhere "$victim" || fail "no replacement of the singleton"
    millis "$begun" >>"$work/away"
    u lab heal >/dev/null 2>&1; wait_until 60 ready || fail "$victim did not come back"
    wait_until 60 are_running one 1 || fail "the singleton does not run"
  done
  for p in 50 99; do result wide "singleton's node killed until it runs elsewhere" "$(percentile $p <"$work/away")" ms percentile=$p kills="$kills"; done
}

many
raise --nodes 6 --runtime simulated
singletons
lower
raise --nodes 6 --no-delay --runtime oci
round_trips
images
jq -r '"\(.measure)\(if .percentile then ", p\(.percentile)" else "" end)\(if .over then ", \(.over)" else "" end)\(if .from then ", from \(.from)" else "" end): \(.value) \(.unit)"' "$out/wide.json"
