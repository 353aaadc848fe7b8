# A balancer (HAProxy) in front of all instances of a workload.
# built when named: only the IPFS cluster needs it
# shellcheck shell=bash disable=SC2034
tag=univrs/balancer:1
packages="haproxy"
user=haproxy
config='{"User": "999:999", "Entrypoint": ["/usr/local/bin/univrs-balancer"], "StopSignal": "SIGUSR1",
  "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin"], "ExposedPorts": {}}'

finish() {
  rm -rf "$1"/etc/haproxy "$1"/var/lib/haproxy
  mkdir -p "$1/usr/local/bin"
  install -m 755 "$definitions/balancer/univrs-balancer" "$1/usr/local/bin/"
}
