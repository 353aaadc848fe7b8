# An S3-compatible server over a directory (Versity Gateway).
# shellcheck shell=bash disable=SC2034
tag=univrs/s3:1
packages=""
programs=github.com/versity/versitygw/cmd/versitygw
user=s3
config='{"User": "999:999", "Entrypoint": ["/usr/local/bin/versitygw"], "Cmd": ["posix", "/data"], "StopSignal": "SIGTERM",
  "Env": ["PATH=/usr/local/bin:/usr/bin", "VGW_QUIET=true"], "ExposedPorts": {"7070/tcp": {}}, "Volumes": {"/data": {}}}'

finish() { mkdir -p "$1"/data; }
