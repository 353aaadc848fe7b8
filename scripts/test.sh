#!/usr/bin/env bash
# All tests. Those that need root or a program say visibly when they cannot run.
set -euo pipefail
code=0
cargo test --workspace --no-fail-fast || code=$?
scripts/test-dashboard.sh || code=$?
scripts/test-compose.sh || code=$?
exit "$code"
