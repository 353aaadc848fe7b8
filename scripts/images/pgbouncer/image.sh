# PgBouncer in transaction mode in front of a PostgreSQL in the same group of containers.
# shellcheck shell=bash disable=SC2034
tag=univrs/pgbouncer:1
packages="pgbouncer openssl"
user=pgbouncer
config='{"User": "999:999", "Entrypoint": ["/usr/local/bin/univrs-pgbouncer"], "StopSignal": "SIGINT",
  "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin"], "ExposedPorts": {"6432/tcp": {}}}'

finish() {
  rm -rf "$1"/etc/pgbouncer
  mkdir -p "$1/usr/local/bin"
  install -m 755 "$definitions/pgbouncer/univrs-pgbouncer" "$1/usr/local/bin/"
}
