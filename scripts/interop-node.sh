# What the scripts that try resources on a node of their own have in common; sourced by them, with `bin`, `name` (of the
# directory) and `first_port` set. Ends with 3 where it cannot be tried. Gives: work, data, api, images, result, rows, and
# the functions below; the node is ended and its directory removed when the script ends.
images=$(realpath "${UNIVRS_IMAGES_OUT:-${CARGO_TARGET_DIR:-target}/images}")
not_run() { echo "NOT RUN: $*" >&2; exit 3; }
[ "$(id -u)" = 0 ] || not_run "real containers need root"

source "$(dirname "$0")/steps.sh"
work=$(mktemp -d "/tmp/univrs-$name.XXXXXX")
data=$work/data
api_port=$(free_port "$first_port")
api=http://127.0.0.1:$api_port
export UNIVRS_SERVER=$api NO_COLOR=1
result=1
cleanup() {
  trap - EXIT INT TERM
  "$bin" down --data-dir "$data" >/dev/null 2>&1
  [ -n "${UNIVRS_KEEP:-}" ] || rm -rf "$work"
  exit "$result"
}
trap cleanup EXIT
trap 'result=130; exit 130' INT TERM
raise_node() {
  "$bin" up --data-dir "$data" --api "127.0.0.1:$api_port" --ingress 127.0.0.1:0 --name one --image-dir "$images" \
    --overcommit cpu=8,memory=4 ${UNIVRS_TEMPLATE_DIR:+--template-dir "$UNIVRS_TEMPLATE_DIR"} >>"$work/daemon.log" 2>&1 &
  until_true 60 "readiness of the daemon" curl -fsS -m 1 "$api/readyz"
  until_true 60 "the node" sh -c "curl -fsS '$api/api/nodes' | jq -e '.items[0].state == \"ready\"'"
}
