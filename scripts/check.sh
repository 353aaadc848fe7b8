#!/usr/bin/env bash
# Everything that can be said about the code without running it. Writes nothing outside target/.
set -uo pipefail
failed=()
step() {
  local name=$1; shift
  echo "== $name"
  if ! "$@"; then failed+=("$name"); fi
}
openapi_is_fresh() {
  cargo test --quiet --workspace --test api >target/openapi-check.log 2>&1 && return 0
  cat target/openapi-check.log
  echo "openapi/univrs.json may not be what the code says; run: make openapi"
  return 1
}
docs_build() { RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps --document-private-items; }
scripts_parse() { for script in scripts/*.sh scripts/bench/*.sh .ci/run; do bash -n "$script" || return 1; done; }

mkdir -p target
step "formatting" cargo fmt --all --check
step "layers and tidiness" cargo run --quiet --package xtask
step "lints" cargo clippy --quiet --workspace --all-targets -- -D warnings
step "openapi" openapi_is_fresh
step "docs" docs_build
step "scripts" scripts_parse
step "dashboard" scripts/check-dashboard.sh
if ! cargo deny --version >/dev/null 2>&1; then
  echo "installing cargo-deny"
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug cargo-deny --version 0.20.2
fi
step "licences and bans" cargo deny --offline check bans licenses sources

if [ "${#failed[@]}" -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo "all checks passed"
