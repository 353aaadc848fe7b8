# One IPFS node (kubo); see univrs-kubo for what it does at its start.
# shellcheck shell=bash disable=SC2034
tag=univrs/kubo:1
packages=""
programs=github.com/ipfs/kubo/cmd/ipfs
user=ipfs
config='{"User": "999:999", "Entrypoint": ["/usr/local/bin/univrs-kubo"], "Cmd": ["serve"], "StopSignal": "SIGTERM",
  "Env": ["PATH=/usr/local/bin:/usr/bin", "IPFS_PATH=/data/ipfs", "HOME=/data/ipfs", "IPFS_TELEMETRY=off"],
  "ExposedPorts": {"4001/tcp": {}, "5001/tcp": {}, "8080/tcp": {}}, "Volumes": {"/data/ipfs": {}}}'

finish() {
  mkdir -p "$1"/data/ipfs
  install -m 755 "$definitions/kubo/univrs-kubo" "$1/usr/local/bin/"
}
