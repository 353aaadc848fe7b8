#!/usr/bin/env bash
# How long a database from the template `postgres-small` takes: resources.sh <univrs> <directory of results> [providers].
# From the request until SELECT 1 is answered through the pooler, one after the other, with `mesh` and with `docker` (an
# engine of its own; ports of the host are in that engine's network); then ten asked for at once with overcommit on `mesh`.
# Images are present: the first of each provider is not counted.
set -uo pipefail
bin=$(realpath "$1")
out=$2
providers=${3:-mesh docker}
each=5
many=10
images=$(realpath "${UNIVRS_IMAGES_OUT:-${CARGO_TARGET_DIR:-target}/images}")
[ -f "$images/postgres.tar" ] || { echo "the images are not built: make images" >&2; exit 1; }
command -v psql >/dev/null || { echo "psql is not installed (apt-get install postgresql-client)" >&2; exit 1; }
work=$(mktemp -d /tmp/univrs-bench.XXXXXX)
. "$(dirname "$0")/daemon.sh"
engine=
cleanup() {
  trap - EXIT
  for name in $(curl -fsS "$api/api/resources?limit=100" 2>/dev/null | jq -r '.items[].name'); do
    timeout 120 "$bin" --server "$api" resource rm "$name" -y >/dev/null 2>&1
  done
  [ -z "${daemon:-}" ] || { kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null; }
  "$bin" down --data-dir "$work/data" >/dev/null 2>&1
  [ -z "$engine" ] || { kill "$engine" 2>/dev/null; wait "$engine" 2>/dev/null; }
  awk -v dir="$work" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r umount -l 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

if [[ " $providers " == *" docker "* ]]; then
  if command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ]; then
    PATH=$PATH:/usr/sbin unshare --net sh -c 'ip link set lo up; exec "$0" "$@"' dockerd --bridge none --data-root "$work/docker" \
      --exec-root "$work/exec" --pidfile "$work/docker.pid" --host "unix://$work/docker.sock" >"$work/docker.log" 2>&1 &
    engine=$!
    export DOCKER_HOST=unix://$work/docker.sock
    for _ in $(seq 300); do curl -fsS --unix-socket "$work/docker.sock" http://docker/_ping >/dev/null 2>&1 && break; sleep 0.1; done
  else
    echo "NOT RUN: dockerd is not installed; without it docker is not measured" >&2
    providers=${providers//docker/}
  fi
fi
start_daemon --runtime oci --overcommit cpu=16,memory=8 --image-dir "$images"

sizes='{"cpu":"1","memory":"512Mi","storage":"1Gi","connections":20}'
ask() { # name, provider
  curl -fsS -o /dev/null -X POST "$api/api/resources" -H 'Content-Type: application/json' \
    -d "{\"name\":\"$1\",\"template\":\"postgres-small\",\"provider\":\"$2\",\"parameters\":$sizes}" || fail "$1 was refused"
}
status() { curl -fsS "$api/api/resources/$1" | jq -r .status; }
answers() { # name, provider
  local line; line=$(curl -fsS "$api/api/resources/$1/credentials" | jq -r .connectionString)
  [ "$2" = docker ] && set -- "$1" nsenter "--net=/proc/$engine/ns/net" || set -- "$1"
  shift
  [ "$(PGCONNECT_TIMEOUT=5 "$@" psql -X -q -At "$line" -c 'select 1' 2>/dev/null)" = 1 ]
}
until_it_answers() { # name, provider
  for _ in $(seq 2400); do
    case $(status "$1") in
      ACTIVE) answers "$1" "$2" && return ;;
      FAILED) fail "$1: $(curl -fsS "$api/api/resources/$1" | jq -r .message)" ;;
    esac
    sleep 0.05
  done
  fail "$1 did not answer within two minutes"
}

for provider in $providers; do
  : >"$work/times"
  for number in $(seq 0 "$each"); do
    begun=$(date +%s%N)
    ask "db$number" "$provider"
    until_it_answers "db$number" "$provider"
    [ "$number" = 0 ] || echo $((($(date +%s%N) - begun) / 1000000)) >>"$work/times"
    "$bin" --server "$api" resource rm "db$number" -y >/dev/null 2>&1 || fail "db$number was not removed"
  done
  p50=$(sort -n "$work/times" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')
  most=10000; [ "$provider" = mesh ] || most=15000
  result resources "postgres-small on $provider, request until SELECT 1" "$p50" "ms p50" most="$most" all="$(tr '\n' ' ' <"$work/times")"
done

begun=$(date +%s%N)
for number in $(seq "$many"); do ask "many$number" mesh; done
active() { [ "$(curl -fsS "$api/api/resources?limit=100" | jq '[.items[] | select(.status == "ACTIVE")] | length')" = "$many" ]; }
for _ in $(seq 6000); do active && break; sleep 0.1; done
active || fail "not all of $many became ACTIVE: $(curl -fsS "$api/api/resources?limit=100" | jq -c '[.items[] | {name, status, message}]')"
result resources "$many postgres-small at once on mesh, all ACTIVE" $((($(date +%s%N) - begun) / 1000000)) ms
