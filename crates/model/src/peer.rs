//! Other nodes as one node sees them: heard of by gossip, connected by discovery, reached through the overlay.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::NodeId;
use crate::mesh::{MeshPath, MeshPeer};
use crate::node::{Capacity, Role};

/// Whether a member is heard of. It decides nothing: work is moved when a node's lease runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its heartbeats arrive.
    Live,
    /// They stopped a moment ago: worth a question, not yet an answer.
    Suspected,
    /// They stopped long ago.
    Dead,
    /// It said goodbye.
    Left,
}

/// How a connection with a peer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerPath {
    /// From one to the other.
    Direct,
    /// The same, through a hole in a router that both made together.
    Punched,
    /// By way of a third peer.
    Relayed,
}

/// One other node, as the node that answers sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerStatus {
    /// Which node.
    pub node: NodeId,
    /// Its name, where the state has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether gossip hears of it; absent when gossip never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Its libp2p peer id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Whether its peer is connected with this node's.
    pub connected: bool,
    /// Where its peer is, as a multiaddress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How the connection runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PeerPath>,
    /// Round trip in microseconds, from the latest ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
    /// Version of its binary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whose machine it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<String>,
    /// Part of the cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// What it has to give, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Processor time in use, in thousandths of all it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<u32>,
    /// How containers' packets go there; absent when the overlay does not know the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<OverlayPath>,
}

/// A connection between the peers of two nodes, as one of them tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// The node that tells.
    pub from: NodeId,
    /// The other one.
    pub to: NodeId,
    /// How the connection runs; absent where only the overlay goes there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PeerPath>,
    /// Round trip in microseconds. That of other nodes' links is rounded to two digits and up to half a minute old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
    /// How containers' packets go there; absent in other nodes' links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<OverlayPath>,
}

/// How packets of containers go to another node, in short; `/api/mesh` tells all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverlayPath {
    /// How they go.
    pub path: MeshPath,
    /// Median round trip through the overlay in microseconds, over the last minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u32>,
    /// Probes of the last minute without an answer, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_per_mille: Option<u32>,
}

impl From<&MeshPeer> for OverlayPath {
    fn from(peer: &MeshPeer) -> Self {
        Self { path: peer.path, rtt_us: peer.rtt_micros, loss_per_mille: peer.loss_per_mille }
    }
}
