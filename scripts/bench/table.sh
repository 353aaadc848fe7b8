#!/usr/bin/env bash
# The table of docs/benchmarks.md from what was measured: table.sh <directory of results>. A floor that is missed is
# marked; it does not fail the run, because the machine may have been busy.
set -uo pipefail
at=$1

jq -r '"\(.date)  commit \(.commit)\n\(.machine)\netcd \(.peers.etcd), docker \(.peers.docker), runc \(.peers.runc)\n"' "$at/run.json"
printf '%-66s %14s %14s %9s %9s %9s  %s\n' measure univrs peer ratio floor aim ""

# what, ours, theirs, ratio, floor, aim; floors and aims are bounds below which the ratio, or above which the value, may not be
line() {
  local mark=
  if [ -n "$7" ]; then mark=$(awk -v v="$7" -v f="$8" -v up="$9" 'BEGIN {print (up == "up" ? v >= f : v <= f) ? "" : "below the floor"}'); fi
  printf '%-66s %14s %14s %9s %9s %9s  %s\n' "$1" "$2" "$3" "$4" "$5" "$6" "$mark"
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {if (b > 0) printf "%.1f", a / b}'; }
lines() { [ -f "$at/$1.json" ] && jq -c "$2" "$at/$1.json"; }
value() { lines "$1" "select($2) | .${3:-value}" | head -1; }

while read -r row; do
  [ -n "$row" ] || continue
  IFS=$'\t' read -r nodes disk clients shape ours < <(jq -r '[.nodes, .disk, .clients, .shape, .value] | @tsv' <<<"$row")
  theirs=$(value store ".measure == \"durable writes\" and .who == \"etcd\" and .nodes == $nodes and .disk == \"$disk\" and .clients == $clients and .shape == \"$shape\"")
  r=$(jq -r '.ratio * 10 | round / 10' <<<"$row")
  line "store, $nodes node(s), $disk disk, $clients clients, $shape connections, writes/s" "$ours" "${theirs:-none}" "$r" 4 10 "$r" 4 up
done < <(lines store 'select(.measure == "durable writes" and .who == "univrs")')
for nodes in 1 3; do
  ours=$(value store ".measure == \"watch latency\" and .who == \"univrs\" and .nodes == $nodes")
  theirs=$(value store ".measure == \"watch latency\" and .who == \"etcd\" and .nodes == $nodes")
  [ -n "$ours" ] && [ -n "$theirs" ] || continue
  r=$(value store ".measure == \"watch latency\" and .who == \"univrs\" and .nodes == $nodes" ratio | jq -r '. * 10 | round / 10')
  line "store, $nodes node(s), watch latency p99, ms" "$ours" "$theirs" "$r" 1 "" "$r" 1 up
done

for measure in "start of a container" "start of 50 at once"; do
  ours=$(value containers ".measure == \"$measure\" and .who == \"univrs\"")
  theirs=$(value containers ".measure == \"$measure\" and .who == \"docker\"")
  [ -n "$ours" ] && [ -n "$theirs" ] || continue
  r=$(ratio "$theirs" "$ours")
  line "$measure, ms$([ "$measure" = "start of a container" ] && echo " p50"), against docker run -d" "$ours" "$theirs" "$r" 5 10 "$r" 5 up
done
bare=$(value containers '.who == "runc"')
ours=$(value containers '.measure == "start of a container" and .who == "univrs"')
[ -n "$bare" ] && [ -n "$ours" ] && line "the same against bare runc without a network" "$ours" "$bare" "$(ratio "$bare" "$ours")" "" "" "" "" ""

while IFS=$'\t' read -r case rate; do
  case $case in
    basic) floor=100000 aim=1000000 ;;
    "required spread"*) floor=50000 aim= ;;
    anti-affinity) floor=10000 aim= ;;
    *committed*) floor=20000 aim=50000 ;;
    *) floor= aim= ;;
  esac
  line "placements, $case, per second" "$rate" "" "" "$floor" "$aim" "${floor:+$rate}" "$floor" up
done < <(lines placements . | jq -r '[.case, .per_second] | @tsv')

idle() { value idle ".measure == \"$1\""; }
line "idle daemon with 20 containers, MB resident" "$(idle "resident memory of the daemon")" "" "" 50 40 "$(idle "resident memory of the daemon")" 50 down
line "idle daemon with 20 containers, % of a core" "$(idle "processor time of the daemon")" "" "" 1 "" "$(idle "processor time of the daemon")" 1 down
line "shim, MB proportional" "$(idle "memory of a shim")" "" "" 2 "" "$(idle "memory of a shim")" 2 down
change=$(value api 'true')
line "change through the API at 1,000 instances, ms p99" "$change" "" "" 10 "" "$change" 10 down
while IFS=$'\t' read -r measure unit value most; do
  line "$measure, $unit" "$value" "" "" "$most" "" "$value" "$most" down
done < <(lines faces . | jq -r '[.measure, .unit, .value, .most] | @tsv')

while IFS=$'\t' read -r measure unit value most; do
  line "$measure, $unit" "$value" "" "" "$most" "" "${most:+$value}" "$most" down
done < <(lines resources . | jq -r '[.measure, .unit, .value, .most // ""] | @tsv')

cluster() { value cluster ".measure == \"$1\" and .percentile == $2"; }
line "node killed until the replacement passes elsewhere, ms p99" "$(cluster "node killed until the replacement passes" 99)" "" "" 10000 5000 "$(cluster "node killed until the replacement passes" 99)" 10000 down
line "leader killed until the first write, ms p99" "$(cluster "leader killed until the first write" 99)" "" "" 2000 1000 "$(cluster "leader killed until the first write" 99)" 2000 down
line "up --join until ready, ms p50" "$(cluster "up --join until ready" 50)" "" "" 3000 "" "$(cluster "up --join until ready" 50)" 3000 down
raw=$(value cluster '.over == "underlay"'); through=$(value cluster '.over == "wireguard"')
[ -n "$raw" ] && [ -n "$through" ] && line "throughput between two nodes, Mb/s: encrypted against plain" "$through" "$raw" "$(awk -v a="$through" -v b="$raw" 'BEGIN {printf "%.2f", a / b}')" "" "" "" "" ""
[ ! -f "$at/watching.txt" ] || { echo; cat "$at/watching.txt"; }
