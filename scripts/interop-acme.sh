#!/usr/bin/env bash
# Certificates by ACME from Pebble, the test authority of Let's Encrypt, in a lab of four nodes: ordered, answered by a
# node that does not lead, served with SNI by every node, renewed, and still there when the leader is gone; what cannot be
# certified says why. Ends with 3 where it cannot run.
set -uo pipefail

bin=$(realpath "${1:-target/release/univrs}")
[ "$(id -u)" = 0 ] || { echo "NOT RUN: a lab needs root"; exit 3; }
for tool in go openssl jq curl busybox nsenter; do
  command -v $tool >/dev/null || { echo "NOT RUN: there is no $tool"; exit 3; }
done
pebble=$(realpath -m target/tools/pebble)
version=v2.10.1
if [ ! -x "$pebble" ]; then
  echo "building Pebble $version"
  GOBIN=$(dirname "$pebble") go install "github.com/letsencrypt/pebble/v2/cmd/pebble@$version" >/dev/null 2>&1 ||
    { echo "NOT RUN: Pebble could not be built (needs the Go module proxy)"; exit 3; }
fi

work=$(mktemp -d /tmp/univrs-acme.XXXXXX)
export UNIVRS_LAB=acme$$ UNIVRS_LAB_DIR=$work/lab NO_COLOR=1
export UNIVRS_ACME_DIRECTORY=https://10.90.1.1:14000/dir UNIVRS_ACME_CA=$work/ca.pem
result=1 raised='' authority=''
fail() {
  echo "FAILED: $*" >&2
  for log in "$work"/lab/nodes/*/log "$work/pebble.log"; do [ -f "$log" ] && { echo "--- $log" >&2; tail -n 15 "$log" >&2; }; done
  exit 1
}
cleanup() {
  trap - EXIT INT TERM
  [ -n "$authority" ] && { kill "$authority"; wait "$authority" 2>/dev/null; }
  [ -n "$raised" ] && "$bin" lab down >/dev/null 2>&1
  rm -rf "$work"
  exit "$result"
}
trap cleanup EXIT
trap 'result=130; exit 130' INT TERM
until_true() { # seconds, what, command...
  local seconds=$1 what=$2; shift 2
  local end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "$what did not happen within $seconds s"
    sleep 0.3
  done
}

echo "== an authority of its own, trusted by the file that is given"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=lab -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null &&
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=pebble -keyout "$work/pebble.key" -out "$work/pebble.csr" 2>/dev/null &&
  openssl x509 -req -in "$work/pebble.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 -out "$work/pebble.pem" \
    -extfile <(echo subjectAltName=IP:10.90.1.1) 2>/dev/null || fail "openssl made no certificates"
cat >"$work/pebble.json" <<JSON
{"pebble": {"listenAddress": "10.90.1.1:14000", "managementListenAddress": "10.90.1.1:15000", "certificate": "$work/pebble.pem",
 "privateKey": "$work/pebble.key", "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false,
 "retryAfter": {"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
 "profiles": {"default": {"description": "lives for three minutes", "validityPeriod": 180}}}}
JSON

echo "== four nodes, of which the fourth is no validator and opens no keys itself"
raised=1
"$bin" lab up --nodes 4 --clouds aws:us-east-1,azure:eastus,gcp:us-central1 || fail "the lab did not come up"
status=$("$bin" lab status -o json)
api=$(jq -r .api <<<"$status"); export UNIVRS_SERVER=$api
mapfile -t addresses < <(jq -r '.nodes[].address' <<<"$status" | cut -d: -f1)
last=${addresses[2]}
router=/run/netns/univrs-$UNIVRS_LAB-router
# The third node did not found the cluster, so it does not lead: it answers what the leader put into the state.
{ cat /etc/hosts; echo "$last shop.example.test Docs.example.test"; echo "10.90.1.99 nowhere.example.test"; } >"$work/hosts"
PEBBLE_VA_NOSLEEP=1 nsenter --net="$router" unshare --mount --propagation private sh -c \
  "mount --bind $work/hosts /etc/hosts && exec $pebble -config $work/pebble.json" >"$work/pebble.log" 2>&1 &
authority=$!
at() { nsenter --net="$router" "$@"; }
until_true 60 "an answer of Pebble" at curl -fsS --cacert "$work/ca.pem" https://10.90.1.1:14000/dir
at curl -fsS -k https://10.90.1.1:15000/roots/0 >"$work/root.pem" || fail "Pebble has no root"

mkdir -p "$work/layer/bin" && cp "$(command -v busybox)" "$work/layer/bin/busybox"
tar -C "$work/layer" -cf "$work/layer.tar" bin
printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/bin/busybox"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$(dpkg --print-architecture 2>/dev/null || echo amd64)" "$(sha256sum "$work/layer.tar" | cut -d' ' -f1)" >"$work/config.json"
printf '[{"Config":"config.json","RepoTags":["test/box:1"],"Layers":["layer.tar"]}]' >"$work/manifest.json"
tar -C "$work" -cf "$work/image.tar" manifest.json config.json layer.tar
"$bin" image import "$work/image.tar" >/dev/null || fail "the image was not taken"

echo "== a host that is to have a certificate"
workload() { # name, host
  jq -n --arg name "$1" --arg host "$2" '{name: $name, containers: [{name: "app", image: "test/box:1",
    args: ["httpd", "-f", "-p", "8080", "-h", "/"], ports: [{name: "http", container_port: 8080}],
    resources: {cpu: "50m", memory: "16Mi"}}], ingress: [{host: $host, port: "http", tls: "auto"}]}' |
    curl -fsS -X POST "$api/api/workloads" -H 'content-type: application/json' -d @- >/dev/null || fail "$1 was not taken"
}
workload shop shop.example.test
of() { curl -fsS -m 5 "$api/api/certificates" | jq -er --arg host "$1" ".items[] | select(.host == \$host) | $2"; }
is() { [ "$(of "$1" .state)" = "$2" ]; }
until_true 120 "a certificate for shop.example.test" is shop.example.test valid
# Anything that answers over TLS whose certificate is of that host and of Pebble will do: the box has no pages.
serves() { # host, address
  at curl -sS -m 5 -o /dev/null --resolve "$1:443:$2" --cacert "$work/root.pem" "https://$1/"
}
for address in "${addresses[@]}"; do
  until_true 60 "HTTPS at $address with that certificate" serves shop.example.test "$address"
done
workload docs Docs.example.test
until_true 120 "a certificate for another host" is docs.example.test valid
until_true 60 "both by SNI" serves docs.example.test "$last"
serves shop.example.test "$last" || fail "the first host is not served any more"
serves other.example.test "$last" 2>/dev/null && fail "a host without a certificate got one"

echo "== no private key but where it is needed"
curl -fsS "$api/api/certificates" | grep -q 'PRIVATE KEY' && fail "the API shows a private key"
grep -rqs 'PRIVATE KEY' "$work"/lab/nodes/*/data/store && fail "a private key lies in the store"
curl -fsS "$api/api/certificates" | grep -q 'BEGIN CERTIFICATE' || fail "the API does not show the chain"

echo "== renewed after two thirds of its life, without a gap"
first=$(of shop.example.test .not_after)
renewed() { [ "$(of shop.example.test .not_after)" != "$first" ]; }
end=$((SECONDS + 240))
until renewed; do
  serves shop.example.test "${addresses[0]}" || fail "HTTPS failed before the certificate was renewed"
  [ "$SECONDS" -lt "$end" ] || fail "the certificate was not renewed"
  sleep 1
done

echo "== what cannot be certified says why"
workload nowhere nowhere.example.test
until_true 180 "a failure that is told" is nowhere.example.test failed
of nowhere.example.test '.error, .next_at' || fail "no reason"
curl -fsS "$api/api/problems" | jq -e '.items[] | select(.code == "certificate_missing" and .subject == "host/nowhere.example.test") | .fix' || fail "no problem is told"
curl -fsS "$api/api/events?limit=500" | jq -e '.items[] | select(.kind == "certificate_failed")' >/dev/null || fail "no event"
curl -fsS -X POST "$api/api/workloads" -d '{"name":"x","image":"test/box:1","ingress":[{"host":"*","port":"http","tls":"auto"}]}' 2>/dev/null &&
  fail "a host that nobody certifies was taken"

echo "== the leader goes; another renews"
leader=$("$bin" node ls -o json | jq -r '.items[] | select(.state_part == "leader") | .name')
"$bin" lab kill --node "$leader" || fail "$leader was not killed"
status=$("$bin" lab status -o json); api=$(jq -r .api <<<"$status"); export UNIVRS_SERVER=$api
until_true 60 "an answer of another node" of shop.example.test .not_after
alive=$(jq -r --arg leader "$leader" '[.nodes[] | select(.name != $leader)][0].address' <<<"$status" | cut -d: -f1)
second=$(of shop.example.test .not_after)
again() { [ "$(of shop.example.test .not_after)" != "$second" ]; }
until_true 60 "HTTPS of another node" serves shop.example.test "$alive"
# The name leads to the last node, which may be the one that is gone.
[ "$leader" = "$(jq -r '.nodes[2].name' <<<"$status")" ] || until_true 240 "a renewal by another leader" again
echo "certificates by ACME: all held"
result=0
