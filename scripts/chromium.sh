#!/usr/bin/env bash
# The browser of the dashboard's tests and demo: Debian's Chromium, installed when it is missing.
set -euo pipefail
command -v chromium >/dev/null && exit 0
if [ "$(id -u)" != 0 ]; then
  echo "missing package; install it with: sudo apt-get install chromium" >&2
  exit 1
fi
echo "installing: chromium" >&2
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
