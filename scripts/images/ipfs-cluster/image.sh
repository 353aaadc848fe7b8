# One peer of an IPFS cluster (CRDT consensus) beside its kubo; see univrs-cluster.
# shellcheck shell=bash disable=SC2034
tag=univrs/ipfs-cluster:1
packages=""
programs="github.com/ipfs-cluster/ipfs-cluster/cmd/ipfs-cluster-service github.com/ipfs-cluster/ipfs-cluster/cmd/ipfs-cluster-ctl"
user=ipfs
config='{"User": "999:999", "Entrypoint": ["/usr/local/bin/univrs-cluster"], "Cmd": ["serve"], "StopSignal": "SIGTERM",
  "Env": ["PATH=/usr/local/bin:/usr/bin", "IPFS_CLUSTER_PATH=/data/ipfs-cluster", "HOME=/data/ipfs-cluster"],
  "ExposedPorts": {"9094/tcp": {}, "9096/tcp": {}}, "Volumes": {"/data/ipfs-cluster": {}}}'

finish() {
  mkdir -p "$1"/data/ipfs-cluster
  install -m 755 "$definitions/ipfs-cluster/univrs-cluster" "$1/usr/local/bin/"
}
