#!/usr/bin/env bash
# Storage from templates, on this machine's own containers: an IPFS cluster of 3 nodes and 3 cluster peers, a file pinned
# and read through the balanced gateway, one node killed, still served and kept twice again; one IPFS node with a token;
# an S3 server with its credentials: scripts/interop-ipfs.sh <univrs>.
# Sizes are reduced by parameters: 256Mi to 512Mi of disk. Without root or images it says so and ends with 3.
set -uo pipefail
bin=$(realpath "${1:-target/release/univrs}")
name=ipfs first_port=8580
. "$(dirname "$0")/interop-node.sh"
for image in kubo ipfs-cluster balancer s3; do
  [ -e "$images/$image.tar" ] || { result=3; not_run "the image $image is not built (make images-ipfs)"; }
done
for tool in jq curl; do command -v $tool >/dev/null || { result=3; not_run "$tool is not installed"; }; done
field() { u resource credentials "$1" -o json | jq -r ".$2"; }

say "a node, and an IPFS cluster of 3 and 3"
raise_node
begun=$(now)
u resource create --template ipfs-cluster-small --name store --provider mesh --set storage=512Mi --set cpu=1 || fail "the cluster was not made"
row "request until active, ms" "$(millis "$begun")"
gateway=$(field store gatewayUrl) cluster=$(field store apiEndpoint) token=$(field store apiToken)
ask() { curl -fsS -m 20 -u "api:$token" "$@"; }
curl -fsS -m 5 "$cluster/id" >/dev/null 2>&1 && fail "the cluster's API answers without the token"
peers() { [ "$(ask "$cluster/peers" | jq -s '[.[] | select(.error == "")] | length')" = 3 ]; }
until_true 120 "3 peers that know each other" peers
secret=$(field store clusterSecret)
found=$(grep -rlF -e "$secret" -e "$token" -e "$(field store swarmKey)" "$data" "$work/daemon.log" 2>/dev/null | grep -v '/run/' || true)
[ -z "$found" ] || fail "a secret lies in: $found"
echo "3 peers; the API asks for its token; no secret lies in the data directory or the log"

say "a file is pinned and read through the gateway"
head -c 3000000 /dev/urandom >"$work/file"
cid=$(ask -F "file=@$work/file" "$cluster/add?cid-version=1&replication-min=2&replication-max=2" | jq -rs '.[-1].cid')
[ -n "$cid" ] && [ "$cid" != null ] || fail "the file was not added"
pinned() { ask "$cluster/pins/$cid" | jq '[.peer_map[] | select(.status == "pinned")] | length'; }
twice() { [ "$(pinned)" -ge 2 ]; }
until_true 120 "two copies" twice
read_file() { curl -fsS -m 20 "$gateway/ipfs/$cid" | cmp -s - "$work/file"; }
until_true 60 "the file through the gateway" read_file
echo "$cid is kept $(pinned) times and read through the gateway"

say "a node that keeps it is killed for good: still served, and kept twice again"
holder=$(ask "$cluster/pins/$cid" | jq -r '[.peer_map | to_entries[] | select(.value.status == "pinned")][0].value.peername')
victim=$(ask "$cluster/pins/$cid" | jq -r '[.peer_map | to_entries[] | select(.value.status == "pinned")][0].key')
of_instance() { grep -lsF "$1" /proc/[0-9]*/cgroup | cut -d/ -f3; }
id= pids=
for one in $(curl -fsS "$api/api/workloads/store/instances" | jq -r '.items[].id'); do
  for pid in $(of_instance "$one"); do
    [ "$(jq -r .id "/proc/$pid/root/data/ipfs-cluster/identity.json" 2>/dev/null)" = "$victim" ] && id=$one && break
  done
done
[ -n "$id" ] || fail "the node of $holder was not found"
# Frozen rather than ended: an ended one is started again within a second, which would prove less.
pids=$(for pid in $(of_instance "$id"); do grep -qsE 'ipfs' "/proc/$pid/comm" && echo "$pid"; done)
[ -n "$pids" ] || fail "nothing runs in $id"
begun=$(now)
for pid in $pids; do kill -STOP "$pid" 2>/dev/null; done
until_true 60 "the file through the gateway without that node" read_file
row "a node lost until the file is read again, ms" "$(millis "$begun")"
elsewhere() { ask "$cluster/pins/$cid" | jq -e --arg lost "$victim" '[.peer_map | to_entries[] | select(.key != $lost and .value.status == "pinned")] | length >= 2'; }
until_true 240 "two copies without that node" elsewhere
row "a node lost until two copies are there again, ms" "$(millis "$begun")"
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
until_true 240 "3 peers again" peers
echo "served without it, kept twice without it, and it came back"
u resource rm store -y >/dev/null || fail "removing the cluster"

say "one IPFS node with a token"
u resource create --template small-storage --name files --provider mesh --set storage=256Mi --set memory=512Mi --set private=true || fail "the node was not made"
node=$(field files apiEndpoint) key=$(field files apiKey) gateway=$(field files gatewayUrl)
curl -fsS -m 5 -X POST "$node/api/v0/id" >/dev/null 2>&1 && fail "the API answers without the token"
cid=$(curl -fsS -m 20 -H "Authorization: Bearer $key" -F "file=@$work/file" "$node/api/v0/add?cid-version=1" | jq -r .Hash)
until_true 60 "the file through the gateway" read_file
found=$(grep -rlF -e "$key" -e "$(field files swarmKey)" "$data" "$work/daemon.log" 2>/dev/null | grep -v '/run/' || true)
[ -z "$found" ] || fail "a secret lies in: $found"
u resource rm files -y >/dev/null || fail "removing the node"
echo "$cid was added with the token and read through the gateway"

say "object storage"
u resource create --template object-storage-small --name objects --provider mesh --set storage=256Mi --set memory=256Mi || fail "the server was not made"
s3=$(field objects endpoint)
signed() { curl -fsS -m 20 -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" --aws-sigv4 aws:amz:us-east-1:s3 -u "$(field objects accessKey):$(field objects secretKey)" "$@"; }
signed -X PUT "$s3/box" || fail "the bucket was not made"
signed -T "$work/file" "$s3/box/file" || fail "the object was not put"
signed "$s3/box/file" | cmp -s - "$work/file" || fail "the object is another"
curl -fsS -m 5 "$s3/box/file" >/dev/null 2>&1 && fail "the object is read without a signature"
before=$(curl -fsS "$api/api/workloads/objects/instances" | jq -r '.items[0].restarts')
id=$(curl -fsS "$api/api/workloads/objects/instances" | jq -r '.items[0].id')
for pid in $(of_instance "$id"); do grep -qs versitygw "/proc/$pid/comm" && kill -KILL "$pid"; done
again() { [ "$(curl -fsS "$api/api/workloads/objects/instances" | jq -r '.items[0].restarts')" -gt "$before" ] && signed "$s3/box/file" | cmp -s - "$work/file"; }
until_true 60 "the object after the server was killed" again
u resource rm objects -y >/dev/null || fail "removing the server"
left() { curl -fsS "$api/api/volumes?limit=1000" | jq -e '.items == []' && curl -fsS "$api/api/secrets?limit=1000" | jq -e '.items == []'; }
until_true 60 "the removal of all volumes and secrets" left
echo "put, read, refused without a signature, there after a kill; nothing is left"

say "measured on this machine ($(nproc) cores, $(uname -m), with what else it does)"
printf '%s\n' "${rows[@]}"
result=0
