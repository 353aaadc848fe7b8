#!/usr/bin/env bash
# Puts what deploy/Dockerfile copies into deploy/stage: the program, `target/release/univrs` unless another is named.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-${CARGO_TARGET_DIR:-$root/target}/release/univrs}
[ -x "$program" ] || { echo "there is no program at $program; run \`make build\` first" >&2; exit 1; }
stage=${UNIVRS_STAGE:-$root/deploy/stage}
rm -rf "$stage"
mkdir -p "$stage"
cp "$program" "$stage/univrs"
cp "$root/deploy/node.sh" "$root/deploy/Dockerfile" "$stage/"
