#!/usr/bin/env bash
# The long runs: what `make test` does a few times, many times. UNIVRS_SOAK_ROUNDS says how many (1000).
set -euo pipefail
export UNIVRS_SOAK_ROUNDS="${UNIVRS_SOAK_ROUNDS:-1000}"
cargo test --release --package univrs-store --test store -- --nocapture kill
# Ten quiet minutes of 50 nodes in a simulated network that loses one message in twenty, then 20 kills.
cargo test --release --workspace --test mesh -- --nocapture a_kill_is_seen
