#!/usr/bin/env bash
# The long runs: what `make test` does a few times, many times. UNIVRS_SOAK_ROUNDS says how many (1000), and the
# simulation runs ten times as many. A failing seed is printed with how to run it again.
set -euo pipefail
export UNIVRS_SOAK_ROUNDS="${UNIVRS_SOAK_ROUNDS:-1000}"
cargo test --release --package univrs-store --test store -- --nocapture kill
# Ten quiet minutes of 50 nodes in a simulated network that loses one message in twenty, then 20 kills.
cargo test --release --workspace --test mesh -- --nocapture a_kill_is_seen
cargo test --release --package univrs-store --test store -- --nocapture what_clients_see_is_linearizable
UNIVRS_SOAK_ROUNDS=$((UNIVRS_SOAK_ROUNDS * 10)) \
    cargo test --release --package univrs-control --test simulation -- --nocapture promises_hold_whatever_happens
