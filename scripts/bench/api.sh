#!/usr/bin/env bash
# How long a change takes at 1,000 running instances: api.sh <univrs> <directory for results>.
set -uo pipefail
bin=$(realpath "$1")
out=$2
changes=500
work=$(mktemp -d /tmp/univrs-bench.XXXXXX)
. "$(dirname "$0")/daemon.sh"
trap 'kill -9 "$daemon" 2>/dev/null; rm -rf "$work"' EXIT

start_daemon --runtime simulated --overcommit cpu=100,memory=100
for number in $(seq 10); do
  curl -fsS -o /dev/null -X POST "$api/api/workloads" -H 'Content-Type: application/json' \
    -d "{\"name\":\"load-$number\",\"image\":\"bench/simulated:1\",\"replicas\":100}" || fail "a workload was refused"
done
running() { [ "$(for number in $(seq 10); do curl -fsS "$api/api/workloads/load-$number" | jq .ready; done | awk '{s += $1} END {print s}')" = 1000 ]; }
for _ in $(seq 240); do running && break; sleep 0.5; done
running || fail "1,000 instances did not come to run"

# One connection for all: curl keeps it while it works through a list.
for number in $(seq "$changes"); do
  printf 'next\nurl = "%s/api/workloads/load-%d/scale"\nrequest = POST\nheader = "Content-Type: application/json"\ndata = "{\\"replicas\\": %d}"\noutput = /dev/null\nwrite-out = "%%{http_code} %%{time_total} %%{num_connects}\\n"\n' \
    "$api" $((number % 10 + 1)) $((100 + number / 10 % 2))
done | sed 1d >"$work/changes"
curl -sS --config "$work/changes" >"$work/times" || fail "changes failed"
[ "$(awk '$1 ~ /^2/' "$work/times" | wc -l)" = "$changes" ] || { sort "$work/times" | head -3 >&2; fail "some changes were refused"; }
percentile() { awk '{print $2 * 1000}' "$work/times" | sort -n | awk -v p="$1" '{v[NR] = $1} END {printf "%.2f", v[int((NR - 1) * p / 100) + 1]}'; }
result api "change through the API" "$(percentile 99)" "ms p99" p50_ms="$(percentile 50)" instances=1000 changes="$changes"
