#!/usr/bin/env bash
# All tests. Those that need root or a program say visibly when they cannot run.
set -euo pipefail
cargo test --workspace --no-fail-fast
