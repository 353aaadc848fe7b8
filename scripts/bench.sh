#!/usr/bin/env bash
# Everything that is measured, against peers on the same machine in one run. Prints a table; target/bench/*.json has the
# same for programs. Figures depend on the machine and on what else it does; quote ratios. See docs/benchmarks.md.
set -uo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "containers and peers need root: sudo make bench" >&2; exit 1; }
target=${CARGO_TARGET_DIR:-target}
out=$PWD/target/bench
rm -rf "$out"; mkdir -p "$out"
failed=()

needed=("etcd:etcd-server" "dockerd:docker.io" "runc:runc" "go:golang" "busybox:busybox-static" "jq:jq" "curl:curl" "iperf3:iperf3")
missing=()
for entry in "${needed[@]}"; do
  command -v "${entry%%:*}" >/dev/null || [ -x "/usr/sbin/${entry%%:*}" ] || missing+=("${entry#*:}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "installing: ${missing[*]}" >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  systemctl stop etcd docker >/dev/null 2>&1 || true
fi

echo "building" >&2
scripts/dashboard.sh >&2
cargo build --quiet --release --package univrs || exit 1
cargo build --quiet --release --package univrs-store --examples || exit 1
mkdir -p "$out/programs"
export etcd_load=$out/programs/etcd-load slow_sync=$out/programs/slow-sync
(cd scripts/bench/etcd-load && GOFLAGS=-mod=readonly go build -o "$etcd_load" .) || exit 1
cc -O2 -o "$slow_sync" scripts/bench/slow-sync.c -lpthread || exit 1

machine="$(nproc) cores ($(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo)), $(awk '/MemTotal/ {printf "%.0f GB", $2 / 1048576}' /proc/meminfo), Linux $(uname -r), load before: $(cut -d' ' -f1-3 /proc/loadavg)"
etcd=$(etcd --version | awk '/etcd Version/ {print $3}')
docker=$(dockerd --version | awk '{print $3}' | tr -d ,)
runc=$(runc --version | awk 'NR == 1 {print $3}')
jq -n --arg machine "$machine" --arg date "$(date -u +%FT%TZ)" --arg commit "$(git rev-parse --short HEAD 2>/dev/null)" \
  --arg etcd "$etcd" --arg docker "$docker" --arg runc "$runc" \
  '{date: $date, commit: $commit, machine: $machine, peers: {etcd: $etcd, docker: $docker, runc: $runc}}' >"$out/run.json"

part() { # name, command...
  local name=$1; shift
  echo "measuring: $name" >&2
  "$@" || { failed+=("$name"); echo "FAILED: $name" >&2; }
}
placements() {
  local dir; dir=$(mktemp -d /tmp/univrs-bench.XXXXXX)
  "$target/release/examples/placements" "$dir" >"$out/placements.json"; local code=$?
  rm -rf "$dir"; return "$code"
}
watching() { # 10,000 resources: share of a core, and how long a status call takes
  cargo bench --quiet --package univrs-control --bench watching >"$out/watching.txt" || return 1
  grep -q 'resources watched' "$out/watching.txt"
}
resources() { # databases from a template
  command -v psql >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-client >/dev/null
  scripts/images.sh >&2 && scripts/bench/resources.sh "$target/release/univrs" "$out"
}
part placements placements
# In a network namespace of its own: packet filters of this machine slow loopback down, and not both sides alike.
store() { unshare --net sh -c 'ip link set lo up && exec "$@"' - scripts/bench/store.sh "$target/release/examples" "$out"; }
part store store
part containers scripts/bench/containers.sh "$target/release/univrs" "$out"
part idle scripts/bench/idle.sh "$target/release/univrs" "$out"
part cluster scripts/bench/cluster.sh "$target/release/univrs" "$out"
part wide scripts/bench/wide.sh "$target/release/univrs" "$out"
part api scripts/bench/api.sh "$target/release/univrs" "$out"
part watching watching
part resources resources
part faces scripts/bench/faces.sh "$target/release/univrs" "$out"

scripts/bench/table.sh "$out"
if [ "${#failed[@]}" -gt 0 ]; then printf 'FAILED to measure: %s\n' "${failed[@]}"; exit 1; fi
