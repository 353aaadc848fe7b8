#!/usr/bin/env bash
# What can be said about the dashboard without running it: the generated client is fresh, types and lints hold.
set -euo pipefail
cd "$(dirname "$0")/.."
major=$(node --version 2>/dev/null | sed -E 's/^v([0-9]+).*/\1/' || true)
if [ -z "$major" ] || [ "$major" -lt 20 ]; then
  echo "SKIPPED: the dashboard's checks need Node 20 or newer" >&2
  exit 0
fi
scripts/dashboard-packages.sh
cd dashboard
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
npx openapi-typescript ../openapi/univrs.json --output "$fresh" >/dev/null 2>&1
cmp -s "$fresh" src/api/schema.ts || { echo "src/api/schema.ts is not what openapi/univrs.json says; run: make openapi"; exit 1; }
npx tsc --noEmit
npx eslint --max-warnings 0 .
