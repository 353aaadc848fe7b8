#!/usr/bin/env bash
# deploy/docker-compose.yml for real: three nodes in containers become one cluster, and the orchestrator runs on them.
#
# The engine is one of its own, in a network namespace of its own, so that neither the machine's containers nor its
# packet rules are touched. Without root, Docker or docker-compose it says what is missing and leaves the test out.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
program=${1:-$target/debug/univrs}

[ "$(id -u)" = 0 ] || { echo "compose: LEFT OUT: it takes root to start an engine" >&2; exit 0; }
missing=()
for entry in dockerd:docker.io docker-compose:docker-compose mmdebstrap:mmdebstrap; do
  command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "installing: ${missing[*]}" >&2
  systemctl mask --runtime docker.service docker.socket containerd.service >/dev/null 2>&1 || true
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  systemctl unmask --runtime docker.service docker.socket containerd.service >/dev/null 2>&1 || true
fi

# A base with what a node calls, made of Debian packages: no image is pulled.
base=$target/compose/base.tar
if [ ! -s "$base" ]; then
  mkdir -p "${base%/*}"
  mmdebstrap --quiet --variant=minbase --include=curl,nftables,iproute2,ca-certificates bookworm "$base.new.tar"
  mv "$base.new.tar" "$base"
fi

work=$(mktemp -d /tmp/uvcompose.XXXXXX)
space=uvcompose-$$
export DOCKER_HOST=unix://$work/docker.sock COMPOSE_PROJECT_NAME=uvcompose DOCKER_BUILDKIT=0
# Whatever the engine does may take minutes on a busy machine.
export COMPOSE_HTTP_TIMEOUT=600
export UNIVRS_BASE_IMAGE=univrs/base:test UNIVRS_STAGE=$work/deploy/stage
files=(-f "$work/deploy/docker-compose.yml")
# Where not even root may give every privilege away, those that a node needs are given by name.
limits=$((16#$(sed -n 's/^CapBnd:\s*//p' /proc/self/status)))
(( limits >> 24 & 1 )) || files+=(-f "$work/deploy/docker-compose.restricted.yml")
compose() { docker-compose "${files[@]}" "$@"; }
engine=

finish() {
  local code=$?
  if [ "$code" != 0 ]; then
    for name in orchestrator-bootstrap uvcompose_worker-1_1 uvcompose_worker-2_1; do
      echo "--- $name" >&2
      docker logs --tail 20 "$name" >&2 2>&1 || true
    done
  fi
  [ -z "$engine" ] || { compose down -v --timeout 20 >/dev/null 2>&1 || true; kill "$engine" 2>/dev/null || true; wait "$engine" 2>/dev/null || true; }
  ip netns del "$space" 2>/dev/null || true
  awk -v top="$work/" 'index($5, top) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount -l 2>/dev/null || true
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT

until_it() { # what, seconds, command...
  local what=$1 deadline=$((SECONDS + $2)); shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "compose: $what: not in time" >&2; return 1; }
    sleep 0.5
  done
}

ip netns add "$space"
ip netns exec "$space" ip link set lo up
# Not by `ip netns exec`: that would hide the control groups.
nsenter --net="/run/netns/$space" dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" \
  --host "$DOCKER_HOST" >"$work/engine.log" 2>&1 &
engine=$!
until_it "the engine starts" 300 docker info || { tail -5 "$work/engine.log" >&2; exit 1; }

mkdir -p "$work/deploy"
cp "$root"/deploy/*.yml "$work/deploy/"
strip -o "$work/univrs" "$program"
"$root/scripts/stage-deploy.sh" "$work/univrs"
docker import "$base" "$UNIVRS_BASE_IMAGE" >/dev/null
compose up -d --build >"$work/up.log" 2>&1 || { tail -20 "$work/up.log" >&2; exit 1; }

inside() { docker exec orchestrator-bootstrap "$@"; }
ready() { [ "$(inside curl -fsS localhost:8080/api/nodes | jq '[.items[] | select(.state == "ready")] | length')" = 3 ]; }
until_it "three nodes are ready" 300 ready
voters() { [ "$(inside curl -fsS localhost:8080/api/cluster | jq '.voters | length')" = 3 ]; }
until_it "three of them vote" 300 voters

# The call of the first plans, as it stands there; again while nobody leads, and then it may have been taken before.
call() {
  case $(inside curl -sS -o /dev/null -w '%{http_code}' -X POST localhost:8080/api/workloads -H "Content-Type: application/json" \
    -d '{"name":"orchestrator-canary","image":"univrs/orchestrator:dev","replicas":2}') in 2??|409) ;; *) return 1 ;; esac
}
until_it "the call is taken" 120 call
instances() { inside curl -fsS localhost:8080/api/workloads/orchestrator-canary/instances; }
running='[.items[] | select(.phase == "running" and .reachable and .address)]'
two() { [ "$(instances | jq "$running | length")" = 2 ]; }
until_it "two replicas run" 300 two
apart() { [ "$(instances | jq "$running | [.[].node_name] | unique | length")" = 2 ]; }
until_it "they are on two nodes" 60 apart
for address in $(instances | jq -r "$running | .[].address"); do
  # Each is a control plane of its own, on whichever node: this goes through the encrypted network between them.
  until_it "the replica at $address answers" 300 inside curl -fsS --max-time 10 "http://$address:8080/healthz"
done

# A node's container that is killed comes back with its state.
docker kill uvcompose_worker-1_1 >/dev/null
compose up -d >>"$work/up.log" 2>&1
until_it "the killed node is back" 300 ready
until_it "two replicas run again" 300 two
echo "compose: three nodes, two replicas on two of them, one node killed and back"
