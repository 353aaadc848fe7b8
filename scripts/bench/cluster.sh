#!/usr/bin/env bash
# A cluster of six nodes in three clouds as a lab: cluster.sh <univrs> <directory for results> [kills]. Nodes are killed as
# by a power cut; measured is the time until the replacement passes its health check elsewhere, the time until the first
# write after the leader's death, the time of a join, and how much of a wire the encrypted network leaves.
set -uo pipefail
bin=$(realpath "$1")
out=$2
kills=${3:-30}
work=$(mktemp -d /tmp/univrs-bench.XXXXXX)
. "$(dirname "$0")/daemon.sh"
name=bench$$
export UNIVRS_LAB=$name UNIVRS_LAB_DIR=$work/lab
clouds=aws:us-east-1,azure:eastus,gcp:us-central1
trap '"$bin" lab down >/dev/null 2>&1; rm -rf "$work"' EXIT
command -v iperf3 >/dev/null || { echo "iperf3 is missing: apt install iperf3" >&2; exit 1; }

millis() { echo $((($(now) - $1) / 1000000)); }
percentile() { sort -n "$1" | awk -v p="$2" '{v[NR] = $1} END {i = int((NR - 1) * p / 100 + 0.999999) + 1; if (i > NR) i = NR; print v[i]}'; }
on() { local node=$1; shift; ip netns exec "univrs-$name-$node" "$@"; }
raise() { # further flags
  u lab up --nodes 6 --clouds "$clouds" "$@" >/dev/null 2>"$work/up.log" || { cat "$work/up.log" >&2; fail "the lab did not come up"; }
  api=$(u lab status -o json | jq -r .api); export UNIVRS_SERVER=$api
}
wait_until() { # seconds, command...
  local seconds=$1 begun; shift; begun=$(now)
  until "$@" >/dev/null 2>&1; do
    [ "$(millis "$begun")" -gt $((seconds * 1000)) ] && return 1
    sleep 0.02
  done
}
passing() { curl -fsS -m 1 "$api/api/workloads/web/instances?limit=100" | jq -r '.items[] | select(.phase == "running" and .health == "passing" and .reachable != false) | .node_name'; }
passes_without() { [ "$(passing | grep -vcx "$1")" -ge 3 ]; }
three() { [ "$(passing | wc -l)" = 3 ]; }
ready() { [ "$(curl -fsS -m 1 "$api/api/nodes" | jq '[.items[] | select(.state == "ready")] | length')" = 6 ]; }
write() { curl -fsS -m 1 -X PATCH "$api/api/workloads/web" -H 'Content-Type: application/json' -d "{\"labels\":{\"at\":\"$(date +%s%N)\"}}"; }

kills_with() { # label, flags of the lab
  local label=$1; shift
  raise "$@"
  busybox_archive "$work/busybox.tar" bench/busybox:1
  for node in n1 n2 n3 n4 n5 n6; do
    on "$node" "$bin" --server http://127.0.0.1:8080 image import "$work/busybox.tar" >/dev/null 2>&1 || fail "$node did not take the image"
  done
  curl -fsS -X POST "$api/api/workloads" -H 'Content-Type: application/json' -d '{"name": "web", "replicas": 3,
    "containers": [{"name": "app", "image": "bench/busybox:1", "args": ["httpd", "-f", "-p", "8000", "-h", "/bin"], "command": ["/bin/busybox"],
      "resources": {"cpu": "20m", "memory": "16Mi"}, "health": {"http": {"path": "/busybox", "port": 8000}, "interval": "250ms"}}],
    "placement": {"spread": ["cloud"]}}' >/dev/null || fail "the workload was refused"
  wait_until 30 three || fail "three replicas did not pass"
  : >"$work/replaced"; : >"$work/written"
  for _ in $(seq "$kills"); do
    local victim begun; victim=$(passing | shuf -n 1)
    begun=$(now); u lab kill --node "$victim" >/dev/null 2>&1
    wait_until 60 passes_without "$victim" || fail "no replacement within a minute"
    millis "$begun" >>"$work/replaced"
    u lab heal >/dev/null 2>&1; wait_until 60 ready || fail "$victim did not come back"
    wait_until 30 three || fail "not three replicas again"
  done
  for _ in $(seq $(((kills + 2) / 3))); do
    local leader begun; leader=$(curl -fsS -m 2 "$api/api/cluster" | jq -r .leader)
    begun=$(now); u lab kill --node "$leader" >/dev/null 2>&1
    wait_until 60 write || fail "no write within a minute"
    millis "$begun" >>"$work/written"
    u lab heal >/dev/null 2>&1; wait_until 60 ready || fail "$leader did not come back"
  done
  for p in 50 99; do
    result cluster "node killed until the replacement passes" "$(percentile "$work/replaced" $p)" ms percentile=$p between="$label" kills="$kills"
    result cluster "leader killed until the first write" "$(percentile "$work/written" $p)" ms percentile=$p between="$label"
  done
}

joins() {
  : >"$work/joined"
  local token; token=$(u -o name join-token create --uses 10 --ttl 15m 2>/dev/null) || fail "no join token"
  for i in $(seq 10); do
    local begun pid; begun=$(now)
    # Not through a function: what is ended afterwards must be the daemon, not a shell around it.
    ip netns exec "univrs-$name-n6" "$bin" up --data-dir "$work/extra$i" --api 127.0.0.1:8090 --node-listen 0.0.0.0:9444 --ingress 127.0.0.1:0 --name "extra$i" \
      --role business,slim --runtime simulated --join 10.90.1.10 --join-token "$token" >>"$work/extra.log" 2>&1 &
    pid=$!
    wait_until 30 on n6 curl -fsS -m 1 http://127.0.0.1:8090/readyz || { tail -n 5 "$work/extra.log" >&2; fail "extra$i did not join"; }
    millis "$begun" >>"$work/joined"
    kill "$pid"; wait "$pid" 2>/dev/null
  done
  result cluster "up --join until ready" "$(percentile "$work/joined" 50)" ms percentile=50
}

wires() {
  local own; own=$(on n1 "$bin" --server http://127.0.0.1:8080 node get n1 -o json | jq -r .block); own=${own%.0/*}.1
  on n1 iperf3 -s -D -I "$work/iperf.pid" >/dev/null || fail "iperf3"
  rate() { on n2 iperf3 -c "$1" -t 5 -J | jq '.end.sum_received.bits_per_second / 1e6 | round'; }
  result cluster "throughput between two nodes" "$(rate 10.90.1.10)" Mb/s over=underlay
  result cluster "throughput between two nodes" "$(rate "$own")" Mb/s over=wireguard
}

kills_with "clouds as far apart as in the world"
joins
u lab down >/dev/null 2>&1 || fail "the lab stayed"
kills_with "no delay between clouds" --no-delay --runtime oci
wires
jq -r '"\(.measure)\(if .percentile then ", p\(.percentile)" else "" end)\(if .between then ", \(.between)" else "" end)\(if .over then ", \(.over)" else "" end): \(.value) \(.unit)"' "$out/cluster.json"
