# A daemon of its own for a measurement, and an image of this machine's busybox. Source it; needs $bin and $work.
# shellcheck shell=bash

export NO_COLOR=1
data=$work/data
daemon=

now() { date +%s%N; }
fail() { echo "FAILED: $*" >&2; [ -f "$work/daemon.log" ] && tail -n 20 "$work/daemon.log" >&2; exit 1; }
free_port() { for p in $(seq "$1" $(($1 + 200))); do (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }; done; }
u() { "$bin" "$@"; }

start_daemon() { # further flags of `univrs up`
  local api_port; api_port=$(free_port 8180)
  api=http://127.0.0.1:$api_port
  export UNIVRS_SERVER=$api
  "$bin" up --data-dir "$data" --api "127.0.0.1:$api_port" --ingress "127.0.0.1:$(free_port 8980)" --name bench \
    "$@" >>"$work/daemon.log" 2>&1 &
  daemon=$!
  for _ in $(seq 200); do
    curl -fsS -m 1 "$api/readyz" >/dev/null 2>&1 && return 0
    kill -0 "$daemon" 2>/dev/null || fail "the daemon ended by itself"
    sleep 0.05
  done
  fail "the daemon did not become ready"
}

# Removes all that the daemon made; the exit code of the measurement stays.
end_daemon() { "$bin" down --data-dir "$data" >/dev/null 2>&1; }

# A docker-archive whose one layer is /bin/busybox: the same file for every runtime that is compared.
busybox_archive() { # file, reference
  local at=$work/image; mkdir -p "$at/layer/bin"
  cp "$(command -v busybox)" "$at/layer/bin/busybox"
  tar -C "$at/layer" -cf "$at/layer.tar" bin
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/bin/busybox"],"Cmd":["sleep","3600"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(dpkg --print-architecture 2>/dev/null || echo amd64)" "$(sha256sum "$at/layer.tar" | cut -d' ' -f1)" >"$at/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$2" >"$at/manifest.json"
  tar -C "$at" -cf "$1" manifest.json config.json layer.tar
}

# One result: how it reads, and the same for programs, in target/bench/<file>.json as lines of objects.
result() { # file, measure, value, unit, and key=value pairs
  local file=$1 measure=$2 value=$3 unit=$4; shift 4
  mkdir -p "$out"
  local extra="{}"
  for pair in "$@"; do extra=$(jq -c --arg k "${pair%%=*}" --arg v "${pair#*=}" '. + {($k): ($v | tonumber? // .)}' <<<"$extra"); done
  jq -nc --arg m "$measure" --arg v "$value" --arg u "$unit" --argjson e "$extra" \
    '{measure: $m, value: ($v | tonumber), unit: $u} + $e' >>"$out/$file.json"
}
