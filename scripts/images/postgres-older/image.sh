# The PostgreSQL 15 before the newest that apt knows here (Debian keeps that of its last release beside that of its security
# updates), to be upgraded from in tests.
# shellcheck shell=bash disable=SC2034,SC2154
based_on=postgres
# shellcheck source=/dev/null
source "$definitions/postgres/image.sh"
tag=univrs/postgres:15-older
older=$(apt-cache madison postgresql-15 | awk '{print $3}' | sort -V -u | tail -n 2 | head -n 1)
[ "$older" != "$(apt-cache policy postgresql-15 | awk '$1 == "Candidate:" {print $2}')" ] || lacks="apt knows one PostgreSQL 15 only"
packages="postgresql-15=$older postgresql-client-15=$older openssl libc-bin tzdata"
