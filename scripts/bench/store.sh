#!/usr/bin/env bash
# The store over the wire against etcd: store.sh <directory of our programs> <directory for results>.
# Needs $etcd_load and $slow_sync. Each run: fresh data on one file system, two client processes on each side. All of it is
# run in several rounds, both sides in turn, since a machine is not as fast in one minute as in the next: what is told is the
# median of the rounds, and of their ratios.
set -euo pipefail

ours=$1
out=$2
seconds=${SECONDS_PER_RUN:-3}
rounds=${ROUNDS:-3}
work=$(mktemp -d /tmp/univrs-bench.XXXXXX)
pids=()
trap 'stop; rm -rf "$work"' EXIT
# shellcheck source=scripts/bench/daemon.sh
bin=unused; . "$(dirname "$0")/daemon.sh"

stop() {
  # What slows a server down passes the signal on to it.
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  pids=()
  rm -rf "${work:?}/data"
}

until_true() { # seconds, what, command...
  local left=$(($1 * 20)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1)); [ "$left" -gt 0 ] || fail "$what did not happen"
    sleep 0.05
  done
}

start_ours() { # how many nodes, what runs them
  local nodes=$1 slow=$2 others=() id
  mkdir -p "$work/data"
  for id in $(seq "$nodes" -1 1); do
    [ "$id" = 1 ] || others+=("$id=127.0.0.1:$((7700 + id))")
    local take_in=(); [ "$id" = 1 ] && take_in=("${others[@]}")
    $slow "$ours/serve" "$work/data/$id" "$id" "127.0.0.1:$((7700 + id))" "${take_in[@]}" >"$work/$id.out" 2>>"$work/daemon.log" &
    pids+=($!)
    # The others must listen before the first takes them in.
    [ "$id" = 1 ] || sleep 0.5
  done
  until_true 30 "our cluster of $nodes" grep -q ready "$work/1.out"
  nodes_of_ours=127.0.0.1:7701
}

start_etcd() {
  local nodes=$1 slow=$2 id cluster=""
  mkdir -p "$work/data"
  for id in $(seq "$nodes"); do cluster+="n$id=http://127.0.0.1:$((7800 + id)),"; done
  for id in $(seq "$nodes"); do
    $slow etcd --name "n$id" --data-dir "$work/data/etcd$id" --log-level error --quota-backend-bytes 8000000000 \
      --listen-client-urls "http://127.0.0.1:$((7900 + id))" --advertise-client-urls "http://127.0.0.1:$((7900 + id))" \
      --listen-peer-urls "http://127.0.0.1:$((7800 + id))" --initial-advertise-peer-urls "http://127.0.0.1:$((7800 + id))" \
      --initial-cluster "${cluster%,}" --initial-cluster-token "$work" >>"$work/daemon.log" 2>&1 &
    pids+=($!)
  done
  until_true 30 "etcd's cluster of $nodes" etcd_leader
}

# The client address of the member that leads.
etcd_leader() {
  local id status
  for id in $(seq "${#pids[@]}"); do
    status=$(curl -fsS -m 2 -X POST -d '{}' "http://127.0.0.1:$((7900 + id))/v3/maintenance/status") || continue
    if jq -e '.leader != null and .leader == .header.member_id' <<<"$status" >/dev/null; then
      etcd_at=127.0.0.1:$((7900 + id)); return 0
    fi
  done
  return 1
}

# Two processes with half of the clients and connections each; their rates add up, the worse latency counts.
load() { # program, address, clients, connections
  local at
  for at in 1 2; do "$1" "$2" $(($3 / 2)) $(($4 / 2)) "$seconds" >"$work/load.$at" 2>>"$work/daemon.log" & clients[at]=$!; done
  wait "${clients[1]}" && wait "${clients[2]}" || fail "a client of $1 failed"
  jq -s -c '{per_second: (map(.per_second) | add), p50_ms: (map(.p50_ms) | max), p99_ms: (map(.p99_ms) | max)}' "$work"/load.[12]
}
clients=()

note() { # who, nodes, disk, clients, shape, result
  result store-rounds "durable writes" "$(jq .per_second <<<"$6")" "writes/s" who="$1" nodes="$2" disk="$3" clients="$4" \
    shape="$5" p50_ms="$(jq .p50_ms <<<"$6")" p99_ms="$(jq .p99_ms <<<"$6")" round="$round"
}

measure() { # nodes, disk, what slows the disk, shapes as clients:connections:name
  local nodes=$1 disk=$2 slow=$3 shape; shift 3
  start_ours "$nodes" "$slow"
  for shape in "$@"; do
    IFS=: read -r count connections name <<<"$shape"
    note univrs "$nodes" "$disk" "$count" "$name" "$(load "$ours/load" "$nodes_of_ours" "$count" "$connections")"
  done
  [ "$disk" = fast ] && watch_of univrs "$nodes" "$ours/load" "$nodes_of_ours"
  stop
  start_etcd "$nodes" "$slow"
  for shape in "$@"; do
    IFS=: read -r count connections name <<<"$shape"
    note etcd "$nodes" "$disk" "$count" "$name" "$(load "$etcd_load" "$etcd_at" "$count" "$connections")"
  done
  [ "$disk" = fast ] && watch_of etcd "$nodes" "$etcd_load" "$etcd_at"
  stop
}

watch_of() { # who, nodes, program, address
  local seen; seen=$("$3" "$4" watch 5) || fail "the watcher of $1 failed"
  result store-rounds "watch latency" "$(jq .p99_ms <<<"$seen")" "ms p99" who="$1" nodes="$2" \
    p50_ms="$(jq .p50_ms <<<"$seen")" round="$round"
}

# The rounds in one: values are medians, and so is the ratio, how many times better than etcd.
together() {
  jq -s -c '
    def median: sort | (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2;
    def of($who): map(select(.who == $who)) | first.value;
    group_by([.measure, .nodes, .disk, .clients, .shape])[]
    | (first.measure == "durable writes") as $more_is_better
    | [group_by(.round)[] | of("univrs") / of("etcd") | if $more_is_better then . else 1 / . end] as $ratios
    | group_by(.who) | reverse[]
    | first + {value: (map(.value) | median), p50_ms: (map(.p50_ms) | median), rounds: length}
    | .value |= if $more_is_better then round else . * 1000 | round / 1000 end
    | if .who == "univrs" then . + {ratio: ($ratios | median), worst: ($ratios | min)} else . end
    | del(.round, .p99_ms)' "$out/store-rounds.json" >"$out/store.json"
}

shapes=(64:8:shared 64:64:own 512:16:shared 512:512:own)
rm -f "$out/store-rounds.json"
for round in $(seq "$rounds"); do
  for nodes in 1 3; do
    measure "$nodes" fast "" "${shapes[@]}"
    measure "$nodes" slow "$slow_sync 2000" 64:8:shared 512:16:shared
  done
done
together
