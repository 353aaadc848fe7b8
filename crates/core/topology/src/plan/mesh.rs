//! The mesh: gateways, tunnels and what each accepts from whom.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::cloud::RegionId;
use crate::spec::LinkKind;

/// Who builds the tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeshRuntime {
    /// Univrs itself, keys and all.
    #[serde(rename = "univrs")]
    Univrs,
    /// `wg-quick` with one emitted file for each gateway.
    #[serde(rename = "wg-quick")]
    WgQuick,
}

/// The mesh of a topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mesh {
    /// Who builds it.
    pub runtime: MeshRuntime,
    /// Range of the addresses inside the mesh.
    pub range: Ipv4Net,
    /// UDP port.
    pub port: u16,
    /// One for each region that has a machine, in the order of the file.
    pub gateways: Vec<Gateway>,
    /// What the nodes of Univrs build among themselves; absent under `wg-quick`.
    pub overlay: Option<Overlay>,
}

/// How nodes of Univrs are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlayShape {
    /// Every node with every other: up to 100 nodes.
    Full,
    /// Every node with every other of its region, and two gateways of each region with those of the others.
    Regional,
}

/// What the nodes of Univrs build among themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// Its shape.
    pub shape: OverlayShape,
    /// How many nodes take part.
    pub nodes: u32,
    /// How many pairs of nodes have a tunnel.
    pub pairs: u64,
}

/// A region's way into the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Whose.
    pub region: RegionId,
    /// Name of the machine.
    pub machine: String,
    /// Its address inside the region.
    pub address: Ipv4Addr,
    /// Its address inside the mesh.
    pub mesh_address: Ipv4Addr,
    /// The region's range, which it announces.
    pub cidr: Ipv4Net,
    /// Where its private key is found: a reference, never the key.
    pub private_key: String,
    /// Whom it talks to.
    pub peers: Vec<Peer>,
}

/// The other end of a tunnel as one gateway sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The other region.
    pub region: RegionId,
    /// Name of the other gateway.
    pub machine: String,
    /// Where its public key is found: a reference.
    pub public_key: String,
    /// Whether this end may call: the other has a public address.
    pub endpoint: bool,
    /// What is accepted from it and sent to it.
    pub allowed_ips: Vec<Ipv4Net>,
}

/// A tunnel between two regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// `aws:us-east-1--gcp:us-west1`.
    pub name: String,
    /// Its two regions, in the order of the file.
    pub between: (RegionId, RegionId),
    /// The gateways at its ends.
    pub machines: (String, String),
    /// What the first end accepts.
    pub allowed_first: Vec<Ipv4Net>,
    /// What the second end accepts.
    pub allowed_second: Vec<Ipv4Net>,
}

/// A stated connection beside the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPlan {
    /// What it is.
    pub kind: LinkKind,
    /// Its two regions.
    pub between: (RegionId, RegionId),
    /// Ranges at its ends.
    pub cidrs: (Ipv4Net, Ipv4Net),
    /// Autonomous system numbers of its ends, for a VPN; no two regions share one.
    pub asns: Option<(u32, u32)>,
    /// Tunnels of a VPN; 0 for a peering.
    pub tunnels: u8,
    /// Where the tunnels' shared keys are found, one for each: references.
    pub shared_keys: Vec<String>,
}
