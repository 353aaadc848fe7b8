# What scripts that go step by step have in common: time, talk, waiting, and what was measured. Sourced by them, with
# `bin` set. `work` is their directory; a daemon's log in it is shown when a step fails.
rows=()
now() { date +%s%N; }
millis() { echo $((($(now) - $1) / 1000000)); }
row() { rows+=("$(printf '%-66s %10s' "$1" "$2")"); }
say() { printf '\n== %s\n' "$*"; }
u() { "$bin" "$@"; }
free_port() { for p in $(seq "$1" $(($1 + 200))); do (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }; done; }
last_words() {
  [ -f "$work/daemon.log" ] || return 0
  echo "--- last lines of the daemon's log" >&2
  tail -n 20 "$work/daemon.log" >&2
}
fail() { echo "FAILED: $*" >&2; last_words; exit 1; }
until_true() { # seconds, what, command...
  local seconds=$1 what=$2 begun; shift 2
  begun=$(now)
  until "$@" >/dev/null 2>&1; do
    [ "$(millis "$begun")" -gt $((seconds * 1000)) ] && fail "$what did not happen within $seconds s"
    sleep 0.05
  done
}
