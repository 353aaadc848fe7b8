#!/usr/bin/env bash
# Measurements. Figures depend on the machine and on what else it does; quote medians and ratios.
set -euo pipefail
echo "machine: $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $(uname -rm)"
echo "== scheduler, in memory"
cargo bench --package univrs-schedule
echo "== store, in process, every acknowledged write synced"
cargo run --quiet --release --package univrs-store --example measure
echo "NOT RUN: comparisons with etcd over the wire, docker and runc (not written yet)"
