# PostgreSQL 15 with its client programs; see univrs-postgres for what it does at its start.
# shellcheck shell=bash disable=SC2034
tag=univrs/postgres:15
packages="postgresql-15 postgresql-client-15 openssl libc-bin tzdata"
user=postgres
config='{"User": "999:999", "Entrypoint": ["/usr/local/bin/univrs-postgres"], "Cmd": ["serve"], "StopSignal": "SIGINT",
  "Env": ["PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/bin", "LANG=C.UTF-8", "PGDATA=/var/lib/postgresql/data"],
  "ExposedPorts": {"5432/tcp": {}}, "Volumes": {"/var/lib/postgresql": {}}}'

finish() {
  # Compiled queries need LLVM, which is larger than the server; they are off.
  rm -rf "$1"/usr/lib/postgresql/15/lib/{bitcode,llvmjit*,plperl*,pltcl*,plpython*} "$1"/usr/share/postgresql-common
  mkdir -p "$1"/usr/local/bin "$1"/var/lib/postgresql "$1"/var/run
  install -m 755 "$definitions"/postgres/univrs-* "$1/usr/local/bin/"
}
