#!/usr/bin/env bash
# Installs what building and testing need, and says what it installed. Without root it says what to install.
set -euo pipefail

# command or file that shows that it is there -> Debian package
needed=(
  "cc:build-essential" "cmake:cmake" "mold:mold" "pkg-config:pkg-config"
  "nft:nftables" "ip:iproute2" "curl:curl" "jq:jq" "docker-registry:docker-registry" "busybox:busybox-static"
  "dockerd:docker.io" "docker-compose:docker-compose" "psql:postgresql-client" "mkfs.ext4:e2fsprogs"
  "sshd:openssh-server"
)
missing=()
for entry in "${needed[@]}"; do
  command -v "${entry%%:*}" >/dev/null || [ -x "/usr/sbin/${entry%%:*}" ] || missing+=("${entry#*:}")
done
ls /usr/lib/*/libseccomp.a >/dev/null 2>&1 || missing+=(libseccomp-dev)
ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || missing+=(libfaketime)

if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "missing packages; install them with: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  echo "installing: ${missing[*]}" >&2
  # Tests start their own registry and engine. Where there is an init system, packages would start theirs as well,
  # and Docker's would change the machine's packet rules.
  services=(docker.service docker.socket containerd.service docker-registry.service ssh.service ssh.socket)
  systemctl mask --runtime "${services[@]}" >/dev/null 2>&1 || true
  trap 'systemctl unmask --runtime "${services[@]}" >/dev/null 2>&1 || true' EXIT
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
command -v cargo >/dev/null || { echo "missing: Rust; install it from https://rustup.rs" >&2; exit 1; }
