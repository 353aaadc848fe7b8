#!/usr/bin/env bash
# What is emitted for Hetzner Cloud, validated by its real provider, which Go builds from its source through the module
# proxy: scripts/interop-hcloud.sh <univrs>. Without Go, or without tofu and terraform, it says so and ends with 3.
set -euo pipefail
bin=$(realpath "${1:-target/release/univrs}")
cd "$(dirname "$0")/.."
command -v go >/dev/null || { echo "NOT RUN: Go is not installed" >&2; exit 3; }
terraform=$(command -v tofu || command -v terraform) || { echo "NOT RUN: neither tofu nor terraform is installed" >&2; exit 3; }
work=$PWD/target/interop/hcloud
rm -rf "$work"; mkdir -p "$work/provider"

# The sums of all modules are in go.sum, so that no sum has to be asked for.
(cd interop/hcloud && GOFLAGS=-mod=readonly go build -o "$work/provider/terraform-provider-hcloud" \
  github.com/hetznercloud/terraform-provider-hcloud) || { echo "NOT RUN: the provider could not be built" >&2; exit 3; }
cat >"$work/rc" <<RC
provider_installation {
  dev_overrides { "hetznercloud/hcloud" = "$work/provider" }
  direct {}
}
RC
export TF_CLI_CONFIG_FILE=$work/rc

"$bin" topology emit interop/hcloud/hetzner.toml --out "$work/all" >/dev/null
"$bin" topology emit examples/freetier.toml --out "$work/freetier" >/dev/null
roots=("$work"/all/hetzner-* "$work"/freetier/hetzner-*)
for root in "${roots[@]}"; do
  (cd "$root" && "$terraform" validate -no-color -json | jq -e '.valid' >/dev/null) || {
    echo "FAILED: the provider refuses $root" >&2
    (cd "$root" && "$terraform" validate -no-color) >&2 || true
    exit 1
  }
done
# It would also pass if nothing were looked at: a server without its type must be refused.
broken=$work/broken; cp -r "${roots[0]}" "$broken"
sed -i '/"server_type"/d' "$broken/machines.tf.json"
if (cd "$broken" && "$terraform" validate -json | jq -e '.valid' >/dev/null); then
  echo "FAILED: the provider accepts a server without a type" >&2; exit 1
fi
version=$(cd interop/hcloud && go list -m -f '{{.Version}}' github.com/hetznercloud/terraform-provider-hcloud)
echo "${#roots[@]} roots are valid for hetznercloud/hcloud $version ($("$terraform" version | head -1)); a broken one is refused"
