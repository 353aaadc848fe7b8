#!/bin/sh
# What a container of a node runs: opens what Docker mounted read-only, if it was told to, and becomes the node.
#
# UNIVRS_REMOUNT            mount points to make writable, with all below them
# UNIVRS_WRITE_JOIN_TOKEN   founds the cluster, and keeps a join token in this file for the containers that wait for it
set -eu
univrs=/usr/local/bin/univrs
for top in ${UNIVRS_REMOUNT:-}; do
  awk -v top="$top" '$5 == top || index($5, top "/") == 1 { print $5 }' /proc/self/mountinfo |
    while read -r point; do mount -o remount,rw,bind "$point"; done
done
if [ -n "${UNIVRS_WRITE_JOIN_TOKEN:-}" ]; then
  (
    until "$univrs" status >/dev/null 2>&1; do sleep 0.5; done
    umask 077
    "$univrs" join-token create --ttl 24h --uses 100 >"$UNIVRS_WRITE_JOIN_TOKEN.new"
    mv "$UNIVRS_WRITE_JOIN_TOKEN.new" "$UNIVRS_WRITE_JOIN_TOKEN"
  ) &
fi
exec "$univrs" up "$@"
