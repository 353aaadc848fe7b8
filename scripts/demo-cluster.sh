#!/usr/bin/env bash
# Six machines in three clouds are one: raise them as a lab, spread a workload over the clouds, call across clouds by
# name, kill a cloud, see it healed elsewhere, bring the cloud back. Ends with a table of what was measured, and exit
# code 0 only if all of it held and nothing was left behind.
set -uo pipefail

bin=$(realpath "${1:-target/release/univrs}")
[ "$(id -u)" = 0 ] || { echo "the demo makes network namespaces and needs root: sudo make demo-cluster" >&2; exit 1; }

source "$(dirname "$0")/steps.sh"
work=$(mktemp -d /tmp/univrs-cluster.XXXXXX)
name=demo$$
export UNIVRS_LAB=$name UNIVRS_LAB_DIR=$work/lab NO_COLOR=1
clouds=aws:us-east-1,azure:eastus,gcp:us-central1
result=1
raised=

last_words() {
  [ -n "$raised" ] && u ps >&2
  for log in "$work"/lab/nodes/*/log; do [ -f "$log" ] && { echo "--- $log" >&2; tail -n 5 "$log" >&2; }; done
}
cleanup() {
  trap - EXIT INT TERM
  [ -n "$raised" ] && "$bin" lab down >/dev/null 2>&1
  rm -rf "$work"
  exit "$result"
}
trap cleanup EXIT
trap 'result=130; exit 130' INT TERM

instances() { curl -fsS -m 2 "$api/api/workloads/$1/instances?limit=1000"; }
# Clouds in which instances of a workload run and pass their health check, one line each.
serving() { instances "$1" | jq -r '.items[] | select(.phase == "running" and .health == "passing" and .reachable != false) | .cloud'; }
serves_in() { [ "$(serving "$1" | sort | tr '\n' ' ')" = "$2" ]; }
serves_without() { # workload, cloud, count
  [ "$(serving "$1" | grep -vc "^$2\$")" -ge "$3" ]
}

say "six machines in three clouds"
begun=$(now); raised=1
u lab up --nodes 6 --clouds "$clouds" || fail "the lab did not come up"
row "six nodes in three clouds until all are ready, ms" "$(millis "$begun")"
status=$(u lab status -o json) || fail "the lab tells no status"
api=$(jq -r .api <<<"$status"); export UNIVRS_SERVER=$api
jq -r '.nodes[].id' <<<"$status" | cut -c4-11 >"$work/short"
until_true 5 "an answer of the API" curl -fsS -m 1 "$api/readyz"
u status || fail "no status"

say "an image with a small client, on every machine"
mkdir -p "$work/layer/bin" && cp "$(command -v busybox)" "$work/layer/bin/busybox" || fail "there is no busybox"
tar -C "$work/layer" -cf "$work/layer.tar" bin
layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/bin/busybox"],"Cmd":["sleep","600"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$(dpkg --print-architecture 2>/dev/null || echo amd64)" "$layer" >"$work/config.json"
printf '[{"Config":"config.json","RepoTags":["demo/busybox:1"],"Layers":["layer.tar"]}]' >"$work/manifest.json"
tar -C "$work" -cf "$work/image.tar" manifest.json config.json layer.tar
on() { local node=$1; shift; ip netns exec "univrs-$name-$node" "$@"; }
has_canary() { on "$1" "$bin" --server http://127.0.0.1:8080 image ls -o name | grep -q univrs/orchestrator:dev; }
for node in $(jq -r '.nodes[].name' <<<"$status"); do
  on "$node" "$bin" --server http://127.0.0.1:8080 image import "$work/image.tar" >/dev/null || fail "$node did not take the image"
  until_true 60 "the image of the orchestrator on $node" has_canary "$node"
done

say "one workload, spread over the clouds"
begun=$(now)
curl -fsS -X POST "$api/api/workloads" -H 'Content-Type: application/json' -d '{
  "name": "orchestrator-canary", "replicas": 3,
  "containers": [{"name": "app", "image": "univrs/orchestrator:dev", "ports": [{"name": "http", "container_port": 8080}],
    "health": {"http": {"path": "/healthz", "port": 8080}, "interval": "500ms"}}],
  "placement": {"spread": ["cloud"]}, "ingress": [{"host": "canary.localhost", "port": "http"}]}' >/dev/null || fail "the call was refused"
until_true 40 "a replica in each cloud" serves_in orchestrator-canary "aws azure gcp "
row "call until a replica passes in each of three clouds, ms" "$(millis "$begun")"
u ps

say "from one cloud to another by name, encrypted on the way"
curl -fsS -X POST "$api/api/workloads" -H 'Content-Type: application/json' -d '{
  "name": "far", "containers": [{"name": "app", "image": "univrs/orchestrator:dev", "ports": [{"name": "http", "container_port": 8080}],
    "health": {"http": {"path": "/healthz", "port": 8080}, "interval": "500ms"}}],
  "placement": {"constraints": ["cloud == gcp"]}}' >/dev/null || fail "far was refused"
curl -fsS -X POST "$api/api/workloads" -H 'Content-Type: application/json' -d '{
  "name": "client", "image": "demo/busybox:1", "placement": {"constraints": ["cloud == azure"]}}' >/dev/null || fail "client was refused"
until_true 30 "far in gcp" serves_in far "gcp "
u workload wait client --timeout 30s || fail "the client did not start"
u exec client -- /bin/busybox nslookup far.internal || fail "the name was not found"
call() { u exec client -- /bin/busybox timeout 3 /bin/busybox wget -q -O - "http://$1.internal:8080/healthz"; }
until_true 15 "an answer from azure to gcp" call far
begun=$(now); echo "far.internal in gcp answers a client in azure: $(call far)"; row "one call from azure to gcp by name, with exec, ms" "$(millis "$begun")"
# Any machine's ingress leads to a replica wherever it is.
for node in $(jq -r '.nodes[].name' <<<"$status"); do
  until_true 10 "an answer of the ingress of $node" on "$node" curl -fsS -m 2 -H 'Host: canary.localhost' http://127.0.0.1/healthz
done
echo "the ingress of every machine answers"
u mesh peers || fail "no view of the encrypted network"

say "a whole cloud dies: aws, with the machine that made the cluster"
begun=$(now)
u lab kill --cloud aws || fail "the cloud could not be killed"
write() { curl -fsS -m 2 -X PATCH "$api/api/workloads/far" -H 'Content-Type: application/json' -d "{\"labels\":{\"at\":\"$(date +%s%N)\"}}"; }
until_true 20 "a write after the death of a cloud" write
row "cloud killed until the first write, ms" "$(millis "$begun")"
until_true 60 "three replicas without aws" serves_without orchestrator-canary aws 3
row "cloud killed until three replicas pass elsewhere, ms" "$(millis "$begun")"
u ps
until_true 10 "an answer across the clouds that are left" call orchestrator-canary
echo "and the name leads only to those that live: $(call orchestrator-canary)"
u node ls

say "the cloud comes back"
begun=$(now); u lab heal --cloud aws || fail "the cloud did not come back"
all_ready() { [ "$(curl -fsS -m 2 "$api/api/nodes" | jq '[.items[] | select(.state == "ready")] | length')" = 6 ]; }
until_true 30 "six ready nodes" all_ready
row "cloud brought back until all six nodes are ready, ms" "$(millis "$begun")"
u lab status

say "all gone"
begun=$(now); u lab down || fail "the lab could not be removed"
row "removing everything, ms" "$(millis "$begun")"
raised=
left=$( { ip netns; ip -o link; nft list tables 2>/dev/null; find /sys/fs/cgroup -type d 2>/dev/null; ls -d /run/univrs/* 2>/dev/null; cat /proc/mounts; } |
  grep -E -e "univrs-$name-|$work" -f "$work/short"; pgrep -af "$work/lab"; ls -d "$work/lab" 2>/dev/null)
[ -z "$left" ] || { echo "$left"; fail "something was left behind"; }
echo "no process, namespace, mount, interface, cgroup or packet rule is left"

say "measured on this machine ($(nproc) cores, $(uname -m)); between clouds packets are held as long as the distance asks"
printf '%s\n' "${rows[@]}"
result=0
