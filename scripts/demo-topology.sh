#!/usr/bin/env bash
# One file of clouds: checked, planned, priced, made cheaper, emitted and drawn. Nothing is bought and nothing is asked
# of any cloud. What it makes lies in target/demo/. Exit code 0 only if every step came out as it should.
set -uo pipefail

bin=$(realpath "${1:-target/release/univrs}")
cd "$(dirname "$0")/.." || exit 1
file=examples/aurigraph.toml
out=target/demo
mkdir -p "$out"
begun=$(date +%s%N)
say() { printf '\n== %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
t() { "$bin" topology "$@" 2>"$out/talk"; }
must() { t "$@" || { local code=$?; cat "$out/talk" >&2; fail "topology $1 ended with code $code"; }; }

say "check $file: what is impossible, doubtful, good to know"
must check "$file" >"$out/check.txt"
cut -c1-200 "$out/check.txt"
for code in round-trip voters-chosen headroom rto-availability missing-egress; do
  grep -qF "[$code]" "$out/check.txt" || fail "check does not tell of $code"
done

say "a slip of the pen is refused, with its place"
sed 's/^count = 4/cuont = 4/' "$file" >"$out/broken.toml"
t check "$out/broken.toml" >"$out/broken.txt"; code=$?
grep -A1 -F '[unknown-key]' "$out/broken.txt" || fail "the slip was not found"
[ "$code" = 11 ] || fail "a broken file ended with code $code, not 11"

say "plan: every address, tunnel and name"
must plan "$file" >"$out/plan.txt"
awk '/^(REGION|TUNNEL|DNS RECORD)/ {show = 1} /^$/ {show = 0; print ""} show' "$out/plan.txt"
[ "$(grep -c -- '--' "$out/plan.txt")" -ge 15 ] || fail "there are not 15 tunnels"

say "cost: a month at dated list prices; what is not known is not counted as nothing"
must cost "$file" >"$out/cost.txt"
head -12 "$out/cost.txt"; echo "..."; tail -12 "$out/cost.txt"
grep -q '66 nodes in 6 regions' "$out/cost.txt" || fail "cost does not count 66 nodes"

say "optimize: what would be cheaper"
must optimize "$file" | cut -c1-150 | tee "$out/optimize.txt"
t optimize "$file" --require >/dev/null; code=$?
[ "$code" = 13 ] || fail "objectives that are missed ended with code $code, not 13"

say "emit: OpenTofu files, twice the same bytes"
rm -rf "$out/infra" "$out/again"
must emit "$file" --out "$out/infra" >"$out/files.txt"
must emit "$file" --out "$out/again" >/dev/null
diff -r "$out/infra" "$out/again" || fail "two emissions differ"
rm -rf "$out/again"
echo "$(wc -l <"$out/files.txt") files, $(du -sh "$out/infra" | cut -f1), in $out/infra"

say "the network, drawn"
must graph "$file" --format svg --out "$out/aurigraph.svg"
must graph "$file" --out "$out/aurigraph.mmd"
[ "$(grep -c 'class="tunnel"' "$out/aurigraph.svg")" = 15 ] || fail "the map does not show 15 tunnels"
echo "$out/aurigraph.svg and $out/aurigraph.mmd"

printf '\nall of it took %d ms\n' $((($(date +%s%N) - begun) / 1000000))
