#!/usr/bin/env bash
# PostgreSQL with its replica, on this machine's own containers: restored to a second that was noted while rows were
# written, the replica read and promoted without loss, and once more while its primary hung:
# scripts/interop-pitr.sh <univrs>. Sizes are reduced by parameters: 1 vCPU, 512Mi, 512Mi of disk for each server.
# Without root or images it says so and ends with 3.
set -uo pipefail
bin=$(realpath "${1:-target/release/univrs}")
name=pitr first_port=8480
. "$(dirname "$0")/interop-node.sh"
[ -e "$images/postgres.tar" ] || { result=3; not_run "the images are not built (make images)"; }
for tool in psql jq curl; do command -v $tool >/dev/null || { result=3; not_run "$tool is not installed"; }; done
connection() { u resource credentials "$1" -o json | jq -r .connectionString; }
reading() { u resource credentials "$1" -o json | jq -r '"postgresql://\(.username):\(.password)@\(.readReplicaHost):\(.readReplicaPort)/\(.database)?sslmode=require"'; }
sql() { PGCONNECT_TIMEOUT=5 psql -X -q -At -v ON_ERROR_STOP=1 "$1" -c "$2"; }
count() { sql "$1" 'select count(*) from notes'; }
counts() { [ "$(count "$1")" = "$2" ]; }

say "a node, and a database with its replica"
raise_node
sizes=(--set cpu=1 --set memory=512Mi --set storage=512Mi --set log_storage=512Mi --set connections=50 --set backup_schedule=manual)
begun=$(now)
u resource create --template postgres-medium --name db --provider mesh "${sizes[@]}" || fail "the database was not made"
main=$(connection db)
sql "$main" 'create table notes (n int primary key, at timestamptz default clock_timestamp())' || fail "SQL"
row "request until active, with its replica, ms" "$(millis "$begun")"
sql "$main" 'insert into notes select generate_series(1, 100)' || fail "SQL"
replica=$(reading db)
until_true 60 "100 rows on the replica" counts "$replica" 100
sql "$replica" 'insert into notes values (0)' 2>/dev/null && fail "the replica can be written to"
until_true 60 "a measured lag" sh -c "curl -fsS '$api/api/resources/db' | jq -e '.facts.replicaConnected and (.facts.replicaLagSeconds | type == \"number\")'"
u resource get db | grep -E '^(FACTS|facts)' || true
echo "the replica has the rows, cannot be written to, and its lag is measured"

say "a backup, then rows for some seconds; one of them is noted"
begun=$(now); u resource backup db >/dev/null || fail "the backup"
row "physical backup, verified, ms" "$(millis "$begun")"
curl -fsS "$api/api/resources/db" | jq -e '.last_backup_at != null and .backups[0].usable_from != null' >/dev/null || fail "the backup does not say from when it can be used"
for n in $(seq 101 110); do
  sql "$main" "insert into notes values ($n)" || fail "SQL"
  [ "$n" = 105 ] && { sleep 1.2; noted=$(sql "$main" "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"); sleep 1.2; }
done
sql "$main" 'delete from notes where n <= 50; create table later (n int)' || fail "SQL"
echo "noted $noted, when there were 105 rows; since then 5 came and 50 were deleted"

say "that second, in a second database"
u resource create --template postgres-small --name other --provider mesh --set storage=256Mi --set memory=256Mi --set cpu=500m >/dev/null || fail "another database"
u resource restore other --from db --to-time "$noted" -y >/dev/null 2>&1 && fail "restored into another template"
u resource rm other -y >/dev/null || fail "removing it"
u resource create --template postgres-medium --name second --provider mesh "${sizes[@]}" >/dev/null || fail "the second database"
begun=$(now)
u resource restore second --from db --to-time "$noted" -y >/dev/null || fail "the restoration"
row "restoration to a second, ms" "$(millis "$begun")"
second=$(connection second)
[ "$(count "$second")" = 105 ] || fail "$(count "$second") rows instead of 105"
[ "$(sql "$second" "select count(*) from pg_class where relname = 'later'")" = 0 ] || fail "a table of later is there"
[ "$(sql "$main" 'select count(*) from notes')" = 60 ] || fail "the source was changed"
echo "105 rows, none deleted, and no table that came later; the source has its 60 rows"

say "that second, in place, and a time that no backup leads to"
u resource restore db --to-time "$noted" -y >/dev/null || fail "the restoration in place"
counts "$main" 105 || fail "$(count "$main") rows instead of 105"
u resource restore db --to-time 2020-01-01T00:00:00Z -y 2>"$work/said" && fail "restored to 2020"
grep -q 'earliest time' "$work/said" || { cat "$work/said"; fail "the earliest time is not told"; }
u resource rm second -y >/dev/null || fail "removing the second database"

say "the replica takes over, while rows are written; nothing that was acknowledged is lost"
( n=1000; while n=$((n + 1)); do sql "$main" "insert into notes values ($n)" >/dev/null 2>&1 && echo $n >>"$work/acknowledged"; done ) &
writer=$!
until_true 60 "the first row" test -s "$work/acknowledged"
begun=$(now)
u resource promote db -y >/dev/null || { kill $writer; fail "the promotion"; }
after_promotion() { main=$(connection db); sql "$main" 'insert into notes values (2000000)'; }
until_true 120 "writing after the promotion" after_promotion
row "promotion until rows are written again, ms" "$(millis "$begun")"
kill $writer; wait $writer 2>/dev/null
last=$(tail -n 1 "$work/acknowledged")
[ "$(sql "$main" "select max(n) from notes where n < 2000000")" -ge "$last" ] || fail "row $last was acknowledged and is lost"
replica=$(reading db)
until_true 120 "the former primary following" sh -c "PGCONNECT_TIMEOUT=3 psql -X -q -At '$replica' -c 'select count(*) from notes where n = 2000000' | grep -qx 1"
echo "row $last, the last that was acknowledged, is there; the former primary follows"

say "a backup and a restoration across the promotion"
u resource backup db >/dev/null || fail "a backup after the promotion"
sleep 1.2; second_noted=$(sql "$main" "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"); before=$(count "$main")
sleep 0.2; sql "$main" 'delete from notes' || fail "SQL"
u resource restore db --to-time "$second_noted" -y >/dev/null || fail "the restoration after the promotion"
counts "$main" "$before" || fail "$(count "$main") rows instead of $before"
u resource restore db --to-time "$noted" -y >/dev/null || fail "the restoration to before the promotion"
counts "$main" 105 || fail "$(count "$main") rows instead of 105"
echo "both lead where they should"

say "the primary hangs, and the replica takes over with what it has"
sql "$main" 'insert into notes values (3000000)' || fail "SQL"
replica=$(reading db)
until_true 120 "the row on the replica" sh -c "PGCONNECT_TIMEOUT=3 psql -X -q -At '$replica' -c 'select count(*) from notes where n = 3000000' | grep -qx 1"
leader=db; [ "$(curl -fsS "$api/api/resources/db" | jq -r .parameters.primary)" = b ] && leader=db-b
id=$(curl -fsS "$api/api/workloads/$leader/instances" | jq -r '.items[0].id')
for pid in $(grep -lsF "$id" /proc/[0-9]*/cgroup | cut -d/ -f3); do
  grep -qsE 'postgres|pgbouncer' "/proc/$pid/comm" && kill -STOP "$pid"
done
begun=$(now)
u resource promote db -y >/dev/null || fail "the promotion without its primary"
after_loss() { main=$(connection db); sql "$main" 'insert into notes values (4000000)'; }
until_true 180 "writing after the loss" after_loss
row "promotion without the primary until rows are written, ms" "$(millis "$begun")"
[ "$(sql "$main" 'select count(*) from notes where n in (3000000, 4000000)')" = 2 ] || fail "a row is lost"
replica=$(reading db)
until_true 180 "the one that hung following" sh -c "PGCONNECT_TIMEOUT=3 psql -X -q -At '$replica' -c 'select count(*) from notes where n = 4000000' | grep -qx 1"
echo "both rows are there; the one that hung follows"

say "all is removed"
u resource rm db -y >/dev/null || fail "removing db"
left() { curl -fsS "$api/api/volumes?limit=1000" | jq -e '.items == []' && curl -fsS "$api/api/secrets?limit=1000" | jq -e '.items == []'; }
until_true 60 "the removal of all volumes and secrets" left
say "measured on this machine ($(nproc) cores, $(uname -m), with what else it does)"
printf '%s\n' "${rows[@]}"
result=0
