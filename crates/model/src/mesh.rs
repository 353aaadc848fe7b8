//! The encrypted network between nodes as one of them sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::NodeId;

/// The encrypted network as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MeshView {
    /// The node that looks; absent when it is not in the network.
    #[schema(value_type = Option<String>)]
    pub node: Option<NodeId>,
    /// What encrypts: `userspace` or `kernel` WireGuard; absent when the node is not in the network.
    pub by: Option<String>,
    /// Its public key in base64.
    pub public_key: Option<String>,
    /// Its UDP port.
    pub port: Option<u16>,
    /// The largest packet that passes its interface.
    pub mtu: Option<u32>,
    /// Why the node is not in the network, if it is not.
    pub absent_because: Option<String>,
    /// The other nodes, by id.
    pub peers: Vec<MeshPeer>,
}

/// How packets go to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MeshPath {
    /// Straight to its address.
    Direct,
    /// The same, through holes that both made in routers between them.
    Punched,
    /// By way of another node, which cannot read them.
    Relayed,
    /// There was no handshake yet, or none that is still good.
    None,
}

/// Another node of the encrypted network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MeshPeer {
    /// The node.
    #[schema(value_type = String)]
    pub node: NodeId,
    /// Its name, where the cluster knows it.
    #[serde(default)]
    pub name: String,
    /// Its block of the cluster's addresses.
    pub block: String,
    /// Where its packets go, as address and port.
    pub endpoint: Option<String>,
    /// How packets go there.
    pub path: MeshPath,
    /// The node that passes them on, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub via: Option<NodeId>,
    /// Median round trip through the network in microseconds, over the last minute.
    pub rtt_micros: Option<u32>,
    /// The largest packet that came back from there.
    pub mtu: Option<u32>,
    /// Seconds since keys were last agreed on.
    pub handshake_age: Option<u64>,
    /// Probes of the last minute without an answer, in thousandths.
    pub loss_per_mille: Option<u32>,
    /// Bytes that came from there.
    pub received: u64,
    /// Bytes that went there.
    pub sent: u64,
    /// What is wrong and what to do about it, if something is.
    #[serde(default)]
    pub advice: Option<String>,
}
