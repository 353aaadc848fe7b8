#!/usr/bin/env bash
# The dashboard's tests: pure parts, sizes, and end to end in Debian's Chromium against the debug binary. Without Node
# or the right to install a browser it says what it skips.
set -euo pipefail
cd "$(dirname "$0")/.."
major=$(node --version 2>/dev/null | sed -E 's/^v([0-9]+).*/\1/' || true)
if [ -z "$major" ] || [ "$major" -lt 20 ]; then
  echo "SKIPPED: the dashboard's tests need Node 20 or newer" >&2
  exit 0
fi
scripts/dashboard-packages.sh
scripts/dashboard.sh
(cd dashboard && npx vitest run && node scripts/sizes.mjs)
if ! scripts/chromium.sh; then
  echo "SKIPPED: the dashboard's tests in a browser need chromium" >&2
  exit 0
fi
cargo build --quiet --workspace --bin univrs
export UNIVRS_BIN="${CARGO_TARGET_DIR:-$PWD/target}/debug/univrs"
(cd dashboard && npx vitest run --config e2e/vitest.config.ts)
