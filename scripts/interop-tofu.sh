#!/bin/sh
# Takes emitted roots through a real tofu or terraform against stand-in providers: interop/tofu says what that shows.
# Usage: scripts/interop-tofu.sh DIR...   where each DIR is what `univrs topology emit --out DIR` wrote.
# Without Go, or without tofu and terraform, it says so and ends with 3.
set -eu
[ $# -gt 0 ] || { echo "usage: $0 DIR..." >&2; exit 2; }
here=$(cd "$(dirname "$0")/.." && pwd)
command -v go >/dev/null || { echo "interop-tofu: skipped: Go is not installed" >&2; exit 3; }
tool=$here/target/tofu-interop
(cd "$here/interop/tofu" && go build -o "$tool" .)
"$tool" "$here/crates/core/tofu/tests/data/tf-schema.json.gz" "$@" 2>"$tool.log" || {
    code=$?
    grep -v '^{"@' "$tool.log" >&2 || true
    exit $code
}
