#!/usr/bin/env bash
# How fast containers start: containers.sh <univrs> <directory for results>. Ours against docker and bare runc, from
# one image, on bridge networks (runc without a network). Every time is from before the client starts until the moment
# that the runtime itself recorded as the start, so that both sides are read from the same kind of clock.
set -uo pipefail
bin=$(realpath "$1")
out=$2
rounds=${ROUNDS:-30}
many=50
work=$(mktemp -d /tmp/univrs-bench.XXXXXX)
. "$(dirname "$0")/daemon.sh"
docker_pid=
bridge_was_there=$(ip link show docker0 >/dev/null 2>&1 && echo yes)
trap 'end_all' EXIT

end_all() {
  trap - EXIT
  if [ -n "$docker_pid" ]; then
    docker_ rm -f $(docker_ ps -aq) >/dev/null 2>&1
    kill "$docker_pid" 2>/dev/null; wait "$docker_pid" 2>/dev/null
    [ -n "$bridge_was_there" ] || ip link del docker0 2>/dev/null
  fi
  for number in $(seq "$rounds"); do end_runc "$number" >/dev/null 2>&1; done
  end_daemon
  for mounted in $(awk -v at="$work" 'index($2, at) == 1 {print $2}' /proc/mounts | sort -r); do umount -l "$mounted" 2>/dev/null; done
  rm -rf "$work"
}

# Nanoseconds since the epoch of a time as the API and docker print it.
nanos() { date -d "$1" +%s%N; }
# Times in nanoseconds on standard input become a percentile in milliseconds.
percentile() { sort -n | awk -v p="$1" '{v[NR] = $1} END {printf "%.1f", v[int((NR - 1) * p / 100) + 1] / 1e6}'; }

started_of_ours() { curl -fsS "$api/api/workloads/$1/instances?limit=1000" | jq -r '.items[] | select(.phase == "running") | .started_at'; }
scale_ours() { # workload, replicas
  u scale --detach "$1=$2" >/dev/null 2>>"$work/daemon.log" || fail "scaling was refused"
}
# Looks rarely, and at a short answer: a look costs more of the processors than the start of a container.
wait_for_ours() { # workload, how many
  for _ in $(seq 240); do
    sleep 0.25
    [ "$(curl -fsS "$api/api/workloads/$1" | jq .ready)" -ge "$2" ] && return
  done
  fail "$2 instances of $1 did not come to run"
}
create_ours() { # workload
  curl -fsS -o /dev/null -X POST "$api/api/workloads" -H 'Content-Type: application/json' \
    -d "{\"name\":\"$1\",\"image\":\"bench/busybox:1\",\"replicas\":1}" || fail "the workload was refused"
  wait_for_ours "$1" 1
}

ours() {
  start_daemon --overcommit cpu=100,memory=10
  u image import "$work/busybox.tar" >/dev/null 2>&1 || fail "the image was not taken in"
  create_ours one
  local number begun
  for number in $(seq "$rounds"); do
    begun=$(now)
    scale_ours one $((number + 1))
    wait_for_ours one $((number + 1))
    echo $(($(nanos "$(started_of_ours one | sort | tail -1)") - begun)) >>"$work/ours"
  done
  create_ours many
  begun=$(now)
  scale_ours many $((many + 1))
  wait_for_ours many $((many + 1))
  ours_many=$(($(nanos "$(started_of_ours many | sort | tail -1)") - begun))
  end_daemon; wait "$daemon" 2>/dev/null
}

docker_() { docker -H "unix://$work/docker.sock" "$@"; }
started_of_docker() { docker_ inspect -f '{{.State.StartedAt}}' "$@"; }

dockers() {
  local number begun id
  # No container publishes a port, so packet rules would be made once, at the start, and would stay behind.
  dockerd --data-root "$work/docker" --exec-root "$work/docker-run" --pidfile "$work/docker.pid" \
    -H "unix://$work/docker.sock" --iptables=false --ip-masq=false --ip-forward=false >"$work/dockerd.log" 2>&1 &
  docker_pid=$!
  for _ in $(seq 200); do docker_ version >/dev/null 2>&1 && break; sleep 0.1; done
  docker_ load -q -i "$work/busybox.tar" >/dev/null || { tail -5 "$work/dockerd.log" >&2; fail "docker did not take the image in"; }
  docker_ run -d bench/busybox:1 sleep 3600 >/dev/null || fail "docker run"
  for number in $(seq "$rounds"); do
    begun=$(now)
    id=$(docker_ run -d bench/busybox:1 sleep 3600) || fail "docker run"
    echo $(($(now) - begun)) >>"$work/docker-returned"
    echo $(($(nanos "$(started_of_docker "$id")") - begun)) >>"$work/dockers"
  done
  docker_ rm -f $(docker_ ps -aq) >/dev/null
  local clients=()
  begun=$(now)
  for number in $(seq "$many"); do docker_ run -d bench/busybox:1 sleep 3600 >>"$work/docker-ids" 2>>"$work/dockerd.log" & clients+=($!); done
  wait "${clients[@]}" || fail "docker run, many at once"
  docker_many=$(($(nanos "$(started_of_docker $(cat "$work/docker-ids") | sort | tail -1)") - begun))
}

end_runc() { runc --root "$work/runc" delete -f "bench-$1"; }

runcs() {
  local number begun at
  for number in $(seq "$rounds"); do
    at=$work/bundle-$number; mkdir -p "$at"/{rootfs,upper,work}
    (cd "$at" && runc spec && jq '.process.terminal = false | .process.args = ["/bin/busybox", "sleep", "3600"] | .root.readonly = false' config.json >spec && mv spec config.json)
    begun=$(now)
    mount -t overlay overlay -o "lowerdir=$work/image/layer,upperdir=$at/upper,workdir=$at/work" "$at/rootfs" || fail "an overlay could not be mounted"
    runc --root "$work/runc" run -d --bundle "$at" "bench-$number" </dev/null >/dev/null 2>"$at/log" || { cat "$at/log" >&2; fail "runc run"; }
    echo $(($(now) - begun)) >>"$work/runcs"
  done
}

busybox_archive "$work/busybox.tar" bench/busybox:1
ours
runcs
dockers
for who in ours:univrs dockers:docker runcs:runc; do
  file=$work/${who%%:*}
  result containers "start of a container" "$(percentile 50 <"$file")" "ms p50" who="${who#*:}" p99_ms="$(percentile 99 <"$file")" rounds="$rounds"
done
result containers "docker run -d until it returns" "$(percentile 50 <"$work/docker-returned")" "ms p50" who=docker rounds="$rounds"
result containers "start of $many at once" "$(awk -v n="$ours_many" 'BEGIN {printf "%.0f", n / 1e6}')" "ms" who=univrs
result containers "start of $many at once" "$(awk -v n="$docker_many" 'BEGIN {printf "%.0f", n / 1e6}')" "ms" who=docker
