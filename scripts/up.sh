#!/usr/bin/env bash
# A node in the foreground with the canary deployed. Ctrl-C removes everything it made.
set -euo pipefail
bin=$(realpath "${1:-target/release/univrs}")
data=$(mktemp -d /tmp/univrs-up.XXXXXX)
trap 'rm -rf "$data"' EXIT
(
  until curl -fsS -m 1 http://127.0.0.1:8080/readyz >/dev/null 2>&1; do sleep 0.1; done
  "$bin" image self >/dev/null
  "$bin" run univrs/orchestrator:dev --name orchestrator-canary --replicas 2
  echo "dashboard and API: http://127.0.0.1:8080 - try: $bin ps" >&2
) &
"$bin" up --data-dir "$data" --on-exit down
