//! `wg-quick` files of the gateways, for topologies whose mesh nobody else builds.
//!
//! No key stands in a file: a gateway makes its private key on its first boot and keeps it, and each file names the
//! files that hold its own private and the peers' public keys. Endpoints of gateways are known once they exist, so
//! they are read from files as well. `wireguard/README.md` says who puts what where.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use univrs_topology::plan::{Gateway, Machine, Mesh, MeshRuntime, Plan};

use crate::site::{Site, root_of};
use crate::tf::{Expr, Object, Root, Section, Value};

/// Where keys and endpoints lie on a gateway.
const KEYS: &str = "/etc/wireguard/keys";

/// The mesh, when gateways build it by `wg-quick`.
fn mesh(plan: &Plan) -> Option<&Mesh> {
    plan.mesh.as_ref().filter(|mesh| mesh.runtime == MeshRuntime::WgQuick)
}

/// What a gateway does on its first boot: install the tools, make its key, forward.
pub(crate) fn first_boot(site: Site<'_>, root: &mut Root, machine: &Machine) -> Option<Expr> {
    let mesh = mesh(site.plan)?;
    mesh.gateways.iter().find(|gateway| gateway.machine == machine.name)?;
    let key = format!(
        "umask 077; mkdir -p {KEYS}; [ -s {KEYS}/private ] || wg genkey > {KEYS}/private; wg pubkey < {KEYS}/private > {KEYS}/public"
    );
    let forward = "echo net.ipv4.ip_forward=1 > /etc/sysctl.d/60-forward.conf; sysctl --system";
    let body = Object::new().set("packages", Value::list(["wireguard-tools"])).set(
        "runcmd",
        Value::List(vec![Value::list(["sh", "-c", &key]), Value::list(["sh", "-c", forward])]),
    );
    Some(root.local(Section::Machines, "gateway", body))
}

/// One file for each gateway, and how to use them.
pub(crate) fn files(plan: &Plan) -> BTreeMap<String, Vec<u8>> {
    let Some(mesh) = mesh(plan) else { return BTreeMap::new() };
    let mut files: BTreeMap<String, Vec<u8>> = mesh
        .gateways
        .iter()
        .map(|gateway| {
            (format!("wireguard/{}.conf", root_of(&gateway.region)), config(mesh, gateway).into_bytes())
        })
        .collect();
    files.insert("wireguard/README.md".to_owned(), README.as_bytes().to_vec());
    files
}

fn config(mesh: &Mesh, gateway: &Gateway) -> String {
    let mut text = format!(
        "# Gateway of {} ({}). Copy to /etc/wireguard/mesh.conf on it, then: wg-quick up mesh
# {}: the private key, made on the machine's first boot
[Interface]
Address = {}/{}
ListenPort = {}
PostUp = wg set %i private-key {KEYS}/private
",
        gateway.region,
        gateway.machine,
        gateway.private_key,
        gateway.mesh_address,
        mesh.range.prefix_len(),
        mesh.port,
    );
    for peer in &gateway.peers {
        let name = root_of(&peer.region);
        let ranges: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
        let endpoint = if peer.endpoint {
            format!(" endpoint \"$(cat {KEYS}/{name}.endpoint):{}\"", mesh.port)
        } else {
            String::new()
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "
# {} ({}), key {}
PostUp = wg set %i peer \"$(cat {KEYS}/{name}.public)\"{endpoint} allowed-ips {} persistent-keepalive 25
",
            peer.region,
            peer.machine,
            peer.public_key,
            ranges.join(","),
        );
        for range in peer.allowed_ips.iter().filter(|range| range.prefix_len() < 32) {
            let _ = writeln!(text, "PostUp = ip route replace {range} dev %i");
        }
    }
    text
}

const README: &str = "# The mesh

Each gateway has one file here, named after its region. Keys are never in these files.

1. On its first boot a gateway makes `/etc/wireguard/keys/private` and `/etc/wireguard/keys/public`.
2. Copy every gateway's `public` to all others as `/etc/wireguard/keys/REGION.public`.
3. Write every gateway's public address, one line, to all others as `/etc/wireguard/keys/REGION.endpoint`.
   The roots show it: `tofu output addresses`.
4. Copy `REGION.conf` to the gateway as `/etc/wireguard/mesh.conf` and run `systemctl enable --now wg-quick@mesh`.

`REGION` is the name of the region's folder, such as `aws-us-east-1`.
";
