# Redis with a password, kept on disk.
# shellcheck shell=bash disable=SC2034
tag=univrs/redis:7
packages="redis-server redis-tools"
user=redis
config='{"User": "999:999", "Entrypoint": ["/usr/local/bin/univrs-redis"], "Cmd": ["serve"], "StopSignal": "SIGTERM",
  "Env": ["PATH=/usr/local/bin:/usr/bin"], "ExposedPorts": {"6379/tcp": {}}, "Volumes": {"/var/lib/redis": {}}}'

finish() {
  rm -rf "$1"/etc/redis
  mkdir -p "$1"/usr/local/bin "$1"/var/lib/redis
  install -m 755 "$definitions/redis/univrs-redis" "$1/usr/local/bin/"
}
