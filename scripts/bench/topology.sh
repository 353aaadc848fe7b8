#!/usr/bin/env bash
# The topology compiler as a whole process: medians against its limits, and how time and memory grow with the nodes.
# Figures depend on the machine and on what else it does. Exit code 1 when a limit is missed.
set -uo pipefail

bin=$(realpath "${1:-target/release/univrs}")
cd "$(dirname "$0")/../.." || exit 1
rounds=${UNIVRS_ROUNDS:-15}
work=$(mktemp -d /tmp/univrs-bench-topology.XXXXXX)
trap 'rm -rf "$work"' EXIT
failed=0

# Median of the times of a command, in ms with one decimal, and the largest memory of one run, in MB.
measure() {
  python3 - "$rounds" "$@" <<'PY'
import os, statistics, subprocess, sys, time
rounds, command = int(sys.argv[1]), sys.argv[2:]
times, most = [], 0
for _ in range(rounds):
    begun = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    times.append((time.perf_counter() - begun) * 1e3)
    most = max(most, usage.ru_maxrss)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 12):
        sys.exit(f"{' '.join(command)} ended with code {code}")
print(f"{statistics.median(times):.1f} {most / 1024:.0f}")
PY
}

# what, limit in ms, limit in MB (0: none), command...
limit() {
  local what=$1 most_ms=$2 most_mb=$3 ms mb verdict=ok; shift 3
  read -r ms mb < <(measure "$@") || { echo "FAILED: $what"; failed=1; return; }
  if awk "BEGIN {exit !($ms > $most_ms || ($most_mb > 0 && $mb > $most_mb))}"; then verdict=MISSED; failed=1; fi
  printf '%-52s %9s ms of %5s   %4s MB%s   %s\n' "$what" "$ms" "$most_ms" "$mb" \
    "$([ "$most_mb" -gt 0 ] && echo " of $most_mb")" "$verdict"
}

# So many nodes over 60 regions of three clouds.
large() {
  printf 'name = "large"\n[network]\nmesh = "wireguard"\nadmin_cidrs = ["203.0.113.0/24"]\nsubnets = { public = 22, private = 21 }\n'
  # The table of regions, by the providers' names.
  awk -F, 'NR > 1 && ($1 == "aws" || $1 == "azure" || $1 == "gcp") && count[$1]++ < 20 {
    printf "[[region]]\ncloud = \"%s\"\nname = \"%s\"\n", $1, $2 }' data/regions.csv
  local machine='machine = { aws = "t3.large", azure = "Standard_B2s", gcp = "e2-standard-2" }'
  printf '[role.voter]\ncount = 60\n%s\nunivrs = { role = "validator" }\n' "$machine"
  printf '[role.slim]\ncount = %d\n%s\nunivrs = { role = "slim" }\n' $(($1 - 60)) "$machine"
}

echo "machine: $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $(uname -rm); medians of $rounds runs, whole process"
limit "aurigraph: check, plan and price" 50 0 "$bin" topology cost examples/aurigraph.toml
limit "aurigraph: optimise" 1000 0 "$bin" topology optimize examples/aurigraph.toml
limit "aurigraph: emit" 1000 0 "$bin" topology emit examples/aurigraph.toml -o json
for nodes in 100 300 1000 3000 10000; do
  large "$nodes" >"$work/$nodes.toml"
  counted=$("$bin" topology plan "$work/$nodes.toml" -o json 2>/dev/null | python3 -c '
import json, sys
plan = json.load(sys.stdin)
print(len(plan["regions"]), sum(len(region["machines"]) for region in plan["regions"]))')
  [ "$counted" = "60 $nodes" ] || { echo "FAILED: not 60 regions and $nodes nodes but: $counted"; failed=1; }
  limit "$nodes nodes in 60 regions: check, plan and price" 2000 500 "$bin" topology cost "$work/$nodes.toml"
done
echo "pricing alone: cargo bench --package univrs-cost (limit 10 ms); 10 times the nodes should take at most 10 times as long"
exit $failed
