#!/usr/bin/env bash
# Builds the dashboard into crates/faces/dashboard/assets/site, from where cargo takes it into the binary. Does nothing
# when nothing changed since the last time. Without Node the binary is built without the dashboard, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
site=crates/faces/dashboard/assets/site
mark=$site/.built-from

major=$(node --version 2>/dev/null | sed -E 's/^v([0-9]+).*/\1/' || true)
if [ -z "$major" ] || [ "$major" -lt 20 ] || ! command -v npm >/dev/null; then
  echo "no Node 20 or newer with npm: the binary is built without the dashboard" >&2
  exit 0
fi

inputs() {
  find dashboard -type f -not -path 'dashboard/node_modules/*' -not -path 'dashboard/e2e/*' -not -name '*.test.ts' \
    -not -name '*.md' -print0 | sort -z | xargs -0 sha256sum
  sha256sum openapi/univrs.json data/regions.csv
}
wanted=$(inputs | sha256sum | cut -d' ' -f1)
[ "$(cat "$mark" 2>/dev/null)" = "$wanted" ] && exit 0

scripts/dashboard-packages.sh
cd dashboard
npx vite build --logLevel warn
node scripts/compress.mjs
node scripts/sizes.mjs | tail -1
echo "$wanted" >"../$mark"
