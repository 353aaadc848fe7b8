#!/usr/bin/env bash
# A database from a template, on this machine's own containers: made by one command, used through its pooler with the
# credentials it was given, killed, backed up, restored into a second one, and removed without leftovers. Exit code 0
# only if all of it held.
set -uo pipefail

bin=$(realpath "${1:-target/release/univrs}")
images=$(realpath "${UNIVRS_IMAGES_OUT:-${CARGO_TARGET_DIR:-target}/images}")
[ "$(id -u)" = 0 ] || { echo "the demo runs real containers and needs root: sudo make demo-resources" >&2; exit 1; }
for tool in psql jq curl; do
  command -v "$tool" >/dev/null && continue
  echo "installing: postgresql-client jq curl" >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-client jq curl >/dev/null
done

source "$(dirname "$0")/steps.sh"
work=$(mktemp -d /tmp/univrs-demo.XXXXXX)
data=$work/data
api_port=$(free_port 8180)
api=http://127.0.0.1:$api_port
export UNIVRS_SERVER=$api NO_COLOR=1
daemon= result=1
cleanup() {
  trap - EXIT INT TERM
  "$bin" down --data-dir "$data" >/dev/null 2>&1
  rm -rf "$work"
  exit "$result"
}
trap cleanup EXIT
trap 'result=130; exit 130' INT TERM
connection() { u resource credentials "$1" -o json | jq -r .connectionString; }
sql() { PGCONNECT_TIMEOUT=5 psql -X -q -At -v ON_ERROR_STOP=1 "$1" -c "$2"; }
everything() { # what of the machine and of the cluster belongs to the node
  curl -fsS "$api/api/workloads?limit=1000" | jq -r '.items[] | "workload \(.name)"'
  curl -fsS "$api/api/volumes?limit=1000" | jq -r '.items[] | "volume \(.workload)/\(.name)"'
  curl -fsS "$api/api/secrets?limit=1000" | jq -r '.items[] | "secret \(.name)"'
  curl -fsS "$api/api/resources?limit=1000" | jq -r '.items[] | "resource \(.name)"'
  nft list ruleset 2>/dev/null | grep -oE 'tcp \. (19|2[0-9])[0-9]{3} : ' | sed 's/^/port /'
  find "$data/volumes" -mindepth 3 -maxdepth 3 2>/dev/null | sed "s|$data/|directory |"
  find "$data/containers" -mindepth 1 -maxdepth 1 2>/dev/null | sed "s|$data/|container |"
}

say "a node that finds the images in $images"
"$bin" up --data-dir "$data" --api "127.0.0.1:$api_port" --ingress 127.0.0.1:0 --name demo \
  --image-dir "$images" --overcommit cpu=4,memory=2 >>"$work/daemon.log" 2>&1 &
daemon=$!
until_true 20 "readiness of the daemon" curl -fsS -m 1 "$api/readyz"
until_true 10 "the node" sh -c "curl -fsS '$api/api/nodes' | jq -e '.items[0].state == \"ready\"'"
everything | sort >"$work/before"
u template ls; u provider ls

say "one command: a database"
begun=$(now)
u resource create --template postgres-small --name db --provider mesh --set storage=1Gi || fail "the database was not made"
database=$(connection db)
[ "$(sql "$database" 'select 1')" = 1 ] || fail "no answer through the pooler"
row "request until active and SELECT 1 through the pooler, ms (first, images unpacked)" "$(millis "$begun")"
u resource ls

say "SQL through the pooler, with the credentials that were issued"
sql "$database" "create table notes (id serial primary key, text text); insert into notes (text) select 'note ' || n from generate_series(1, 1000) n" || fail "SQL"
[ "$(sql "$database" 'select count(*) from notes')" = 1000 ] || fail "the rows are not there"
sql "${database%%:*}://nobody:wrong@${database#*@}" 'select 1' 2>/dev/null && fail "a wrong password was taken"
secret=$(u resource credentials db -o json | jq -r .password)
found=$(grep -rlF "$secret" "$data" "$work/daemon.log" 2>/dev/null | grep -v '/run/' || true)
[ -z "$found" ] || fail "the password lies in: $found"
echo "1000 rows; a wrong password is refused; the password is in no file of the data directory and not in the log"

say "the database's container is killed; the data stays"
instance=$(curl -fsS "$api/api/workloads/db/instances" | jq -r '.items[0].id')
restarts() { curl -fsS "$api/api/workloads/db/instances" | jq '.items[0].restarts'; }
before=$(restarts)
pid=$(pgrep -f 'postgres -D /var/lib/postgresql/data' | while read -r p; do grep -qsF "$instance" "/proc/$p/cgroup" && echo "$p"; done | head -1)
[ -n "$pid" ] || fail "the process of the database was not found"
begun=$(now); kill -9 "$pid"
restarted() { [ "$(restarts)" -gt "$before" ] && [ "$(sql "$database" 'select count(*) from notes')" = 1000 ]; }
until_true 60 "the recovery" restarted
row "database killed until 1000 rows are read again, ms" "$(millis "$begun")"

say "a backup, and a second database that it is put into"
begun=$(now); u resource backup db || fail "the backup"
row "backup, ms" "$(millis "$begun")"
sql "$database" "drop table notes" || fail "dropping the table"
begun=$(now)
u resource create --template postgres-small --name second --provider mesh --set storage=1Gi >/dev/null || fail "the second database"
second=$(connection second)
[ "$(sql "$second" 'select 1')" = 1 ] || fail "no answer of the second database"
row "request until active and SELECT 1 through the pooler, ms (second)" "$(millis "$begun")"
begun=$(now); u resource restore second --from db -y >/dev/null || fail "the restoration"
row "restoration, ms" "$(millis "$begun")"
[ "$(sql "$second" 'select count(*) from notes')" = 1000 ] || fail "the restored rows are not there"
echo "1000 rows are in the second database"

say "new credentials, while the old ones go on for a moment"
u resource rotate second >/dev/null || fail "the rotation"
renewed=$(connection second)
[ "$renewed" != "$second" ] || fail "the credentials are the same"
[ "$(sql "$renewed" 'select count(*) from notes')" = 1000 ] || fail "the new credentials are not good"
until_true 10 "the end of the old credentials" sh -c "! PGCONNECT_TIMEOUT=3 psql -X -q -At '$second' -c 'select 1'"

say "both are removed; nothing is left"
begun=$(now)
u resource rm db -y || fail "removing db"
u resource rm second -y || fail "removing second"
row "removing both, ms" "$(millis "$begun")"
nothing_left() { everything | sort | diff "$work/before" - >"$work/left"; }
for _ in $(seq 100); do nothing_left && break; sleep 0.1; done
nothing_left || { cat "$work/left"; fail "something was left behind"; }
curl -fsS "$api/api/resources/db" >/dev/null 2>&1 && fail "db is still known"
curl -fsS "$api/api/audit?limit=1000" | jq -e '[.items[] | select(.action == "resource_credentials")] | length > 0' >/dev/null || fail "showing credentials left no record"
echo "no workload, container, volume, port, secret, resource or directory is left"
u down --data-dir "$data" || fail "down"

say "measured on this machine ($(nproc) cores, $(uname -m))"
printf '%s\n' "${rows[@]}"
result=0
