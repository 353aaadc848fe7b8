#!/usr/bin/env bash
# What a daemon with 20 containers takes while it does nothing: idle.sh <univrs> <directory for results>.
set -uo pipefail
bin=$(realpath "$1")
out=$2
work=$(mktemp -d /tmp/univrs-bench.XXXXXX)
. "$(dirname "$0")/daemon.sh"
trap 'end_daemon; rm -rf "$work"' EXIT

start_daemon
busybox_archive "$work/busybox.tar" bench/busybox:1
u image import "$work/busybox.tar" >/dev/null 2>&1 || fail "the image was not taken in"
u run bench/busybox:1 --name idle --replicas 20 >/dev/null 2>&1 || fail "20 containers did not start"
sleep 30

ticks() { awk '{print $14 + $15}' "/proc/$daemon/stat"; }
before=$(ticks); sleep 20; after=$(ticks)
cpu=$(awk -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN {printf "%.2f", t / hz / 20 * 100}')
rss=$(awk '/^VmRSS:/ {printf "%.1f", $2 / 1024}' "/proc/$daemon/status")
anon=$(awk '/^RssAnon:/ {printf "%.1f", $2 / 1024}' "/proc/$daemon/status")

# The shims of this daemon, by the data directory of their containers: their parent may be anyone.
shims=0 total=0
for pid in $(pgrep -f 'shim-wait' || true); do
  id=$(tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -o 'in_[a-z0-9]*' | head -1)
  [ -n "$id" ] && u ps -o json 2>/dev/null | grep -q "$id" || continue
  pss=$(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup") && shims=$((shims + 1)) && total=$((total + pss))
done
[ "$shims" = 20 ] || fail "$shims shims were found, not 20"
result idle "resident memory of the daemon" "$rss" MB anonymous_mb="$anon" containers=20
result idle "processor time of the daemon" "$cpu" "% of a core" containers=20
result idle "memory of a shim" "$(awk -v t="$total" -v n="$shims" 'BEGIN {printf "%.2f", t / n / 1024}')" "MB PSS" shims="$shims"
