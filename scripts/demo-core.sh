#!/usr/bin/env bash
# One machine is a whole cloud: deploy, reach, scale, update, break, kill, re-adopt, remove. Everything runs in real
# containers under the oci runtime. Ends with a table of what was measured, and exit code 0 only if all of it held.
set -uo pipefail

bin=$(realpath "${1:-target/release/univrs}")
[ "$(id -u)" = 0 ] || { echo "the demo runs real containers and needs root: sudo make demo" >&2; exit 1; }

source "$(dirname "$0")/steps.sh"
work=$(mktemp -d /tmp/univrs-demo.XXXXXX)
data=$work/data
api_port=$(free_port 8080)
ingress_port=$(free_port 8880)
api=http://127.0.0.1:$api_port
export UNIVRS_SERVER=$api NO_COLOR=1
daemon=
loop=
result=1

start_daemon() {
  "$bin" up --data-dir "$data" --api "127.0.0.1:$api_port" --ingress "127.0.0.1:$ingress_port" --name demo >>"$work/daemon.log" 2>&1 &
  daemon=$!
  for _ in $(seq 200); do
    curl -fsS -m 1 "$api/readyz" >/dev/null 2>&1 && return 0
    kill -0 "$daemon" 2>/dev/null || fail "the daemon ended by itself"
    sleep 0.05
  done
  fail "the daemon did not become ready"
}

cleanup() {
  trap - EXIT INT TERM
  [ -n "$loop" ] && kill "$loop" 2>/dev/null
  "$bin" down --data-dir "$data" >/dev/null 2>&1
  rm -rf "$work"
  exit "$result"
}
trap cleanup EXIT
trap 'result=130; exit 130' INT TERM

instances() { curl -fsS "$api/api/workloads/$1/instances?limit=1000" | jq -c '[.items[] | select(.phase == "running")]'; }
# A steady stream of requests through the ingress; every one that is not answered 200 is written down.
begin_requests() {
  : >"$work/requests"; : >"$work/failures"
  (
    while :; do
      code=$(curl -s -o /dev/null -m 5 -w '%{http_code}' -H 'Host: canary.localhost' "http://127.0.0.1:$ingress_port/healthz")
      echo x >>"$work/requests"
      [ "$code" = 200 ] || echo "$(date +%T) $code" >>"$work/failures"
      sleep 0.01
    done
  ) &
  loop=$!
}
end_requests() { # what was going on
  kill "$loop" 2>/dev/null; wait "$loop" 2>/dev/null; loop=
  local sent failed; sent=$(wc -l <"$work/requests"); failed=$(wc -l <"$work/failures")
  row "requests during $1, failed" "$failed of $sent"
  [ "$failed" = 0 ] || { cat "$work/failures" >&2; fail "$failed of $sent requests failed during $1"; }
  [ "$sent" -gt 20 ] || fail "only $sent requests were sent during $1"
}

our_links() { ip -o link | awk -F': ' '$2 ~ /^uv/ {print $2}' | sort; }
our_links >"$work/links"

say "a node on an empty directory; it bootstraps a cluster of its own"
begun=$(now); start_daemon; row "start of the daemon until ready, ms" "$(millis "$begun")"

say "the orchestrator packs itself into an image"
begun=$(now); u image self >/dev/null || fail "image self"
row "image self, ms" "$(millis "$begun")"
u image ls

say "the orchestrator runs itself: one call"
begun=$(now)
code=$(curl -s -o "$work/created" -w '%{http_code}' -X POST "$api/api/workloads" \
  -d '{"name":"orchestrator-canary","image":"univrs/orchestrator:dev","replicas":2}')
[ "$code" = 201 ] || { cat "$work/created"; fail "the call answered $code"; }
two_run() { [ "$(instances orchestrator-canary | jq length)" = 2 ]; }
until_true 20 "two running replicas" two_run
row "call until two containers run, ms" "$(millis "$begun")"
u ps
for address in $(instances orchestrator-canary | jq -r '.[].address'); do
  until_true 5 "an answer of $address" curl -fsS -m 1 "http://$address:8080/healthz"
  echo "$address answers /healthz: $(curl -fsS "http://$address:8080/healthz")"
done
until_true 5 "readiness" curl -fsS -m 1 "http://$(instances orchestrator-canary | jq -r '.[0].address'):8080/healthz"

say "a port, a health check and a route"
curl -fsS -X PATCH "$api/api/workloads/orchestrator-canary" -H 'Content-Type: application/json' -d '{
  "image": null,
  "containers": [{"name": "app", "image": "univrs/orchestrator:dev",
    "ports": [{"name": "http", "container_port": 8080}],
    "health": {"http": {"path": "/healthz", "port": 8080}, "interval": "500ms"}}],
  "update": {"min_healthy": "500ms", "deadline": "40s"},
  "ingress": [{"host": "canary.localhost", "port": "http"}]}' >/dev/null || fail "the change was refused"
u workload wait orchestrator-canary --timeout 60s || fail "the change did not settle"
curl -fsS -H 'Host: canary.localhost' "http://127.0.0.1:$ingress_port/healthz" || fail "no answer through the ingress"

say "found by name from inside another container"
# The client is a container of its own, from an image made of this machine's busybox.
mkdir -p "$work/layer/bin" && cp "$(command -v busybox)" "$work/layer/bin/busybox"
tar -C "$work/layer" -cf "$work/layer.tar" bin
layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/bin/busybox"],"Cmd":["sleep","600"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$(dpkg --print-architecture 2>/dev/null || echo amd64)" "$layer" >"$work/config.json"
printf '[{"Config":"config.json","RepoTags":["demo/busybox:1"],"Layers":["layer.tar"]}]' >"$work/manifest.json"
tar -C "$work" -cf "$work/image.tar" manifest.json config.json layer.tar
u image import "$work/image.tar" >/dev/null || fail "the image was not taken in"
u run demo/busybox:1 --name client >/dev/null || fail "the client did not start"
u exec client -- /bin/busybox nslookup orchestrator-canary.internal || fail "the name was not found"
u exec client -- /bin/busybox wget -q -O - http://orchestrator-canary.internal:8080/healthz || fail "no answer by name"

say "three instead of two"
begun=$(now); u scale orchestrator-canary=3 || fail "scaling"
row "scale from two to three until settled, ms" "$(millis "$begun")"

say "a new version while requests come in"
curl -fsS -X POST "$api/api/images/self" -H 'Content-Type: application/json' -d '{"tag":"univrs/orchestrator:next"}' >/dev/null
begin_requests
begun=$(now); u workload update orchestrator-canary --image univrs/orchestrator:next || fail "the update"
row "rolling update of three instances, ms" "$(millis "$begun")"
end_requests "the rolling update"

say "a broken version: it takes itself back"
begin_requests
begun=$(now); u workload update orchestrator-canary --env UNIVRS_ROLE=nonsense; code=$?
[ "$code" = 7 ] || fail "a broken update ended with exit code $code, not 7"
row "broken update until taken back (exit code 7), ms" "$(millis "$begun")"
end_requests "the broken update"
u workload history orchestrator-canary

say "a container is killed"
victim=$(instances orchestrator-canary | jq -r '.[0].id')
before=$(instances orchestrator-canary | jq --arg id "$victim" '.[] | select(.id == $id) | .restarts')
pid=$(grep -lsF "$victim" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | head -1)
[ -n "$pid" ] || fail "the container's process was not found"
begun=$(now); kill -9 "$pid"
restarted() { [ "$(instances orchestrator-canary | jq --arg id "$victim" '.[] | select(.id == $id) | .restarts')" -gt "$before" ]; }
until_true 20 "a restart of $victim" restarted
row "container killed until it runs again, ms" "$(millis "$begun")"
u ps
all_ready() { [ "$(curl -fsS "$api/api/workloads/orchestrator-canary" | jq .ready)" = 3 ]; }
until_true 30 "three ready replicas" all_ready

say "the daemon is killed; containers go on, and are taken up again"
instances orchestrator-canary | jq -c 'sort_by(.id)[] | {id, started_at}' >"$work/before"
instances orchestrator-canary | jq -r '.[].address' >"$work/addresses"
kill -9 "$daemon"; wait "$daemon" 2>/dev/null
for address in $(cat "$work/addresses"); do
  curl -fsS -m 1 "http://$address:8080/healthz" >/dev/null || fail "$address stopped answering when the daemon was killed"
  echo "$address still answers"
done
begun=$(now); start_daemon; row "killed daemon started again until ready, ms" "$(millis "$begun")"
instances orchestrator-canary | jq -c 'sort_by(.id)[] | {id, started_at}' >"$work/after"
diff "$work/before" "$work/after" || fail "instances or their start times changed"
u logs orchestrator-canary --tail 1 | grep -q . || fail "the logs are gone"
u exec client -- /bin/busybox true || fail "the client was not taken up again"
echo "the same instances, with the same start times"

say "all gone"
# Names of kernel objects carry the first letters of the node's id, so that only this node's are looked for.
short=$(jq -r .node "$data/node.json" | cut -c4-11)
begun=$(now); u down --data-dir "$data" || fail "down"
row "removing everything, ms" "$(millis "$begun")"
daemon=
left=$( { ip -o link; nft list tables 2>/dev/null; find /sys/fs/cgroup -type d 2>/dev/null; ls -d /run/univrs/* 2>/dev/null; cat /proc/mounts; } |
  grep -E "$short|$work"; pgrep -af "$data"; our_links | comm -13 "$work/links" -)
[ -z "$left" ] || { echo "$left"; fail "something was left behind"; }
echo "no process, mount, interface, cgroup or packet rule is left"

say "measured on this machine ($(nproc) cores, $(uname -m))"
printf '%s\n' "${rows[@]}"
result=0
