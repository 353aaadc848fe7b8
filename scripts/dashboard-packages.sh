#!/usr/bin/env bash
# The dashboard's npm packages as package-lock.json names them, installed anew only when it changed. No package runs a
# script of its own at installation.
set -euo pipefail
cd "$(dirname "$0")/../dashboard"
wanted=$(sha256sum package-lock.json | cut -d' ' -f1)
[ "$(cat node_modules/.installed-from 2>/dev/null)" = "$wanted" ] && exit 0
echo "installing the dashboard's npm packages" >&2
# Not `npm ci`: it refuses the lock where a registry lacks a package that is optional and for another system.
npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel error >&2
echo "$wanted" >node_modules/.installed-from
