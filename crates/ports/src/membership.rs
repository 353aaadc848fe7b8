//! Who is there: what every node says of itself, and who has gone silent. A view, never a decision: work is moved
//! when a node's lease runs out, and silence only says where to look first.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use univrs_model::ids::NodeId;
use univrs_model::node::{Capacity, Role};
use univrs_model::peer::PeerPath;
pub use univrs_model::peer::Standing;

/// What a node says of itself to all others. It may be stale, and it may be a lie: placements come from the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// What it has to give.
    pub capacity: Capacity,
    /// What of it is not promised to anything.
    pub free: Capacity,
    /// Version of its binary.
    pub version: String,
    /// Whose machine it is, such as `aws`.
    pub cloud: String,
    /// Part of the cloud, such as `us-east-1`.
    pub region: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Processor time in use, in thousandths of all it has.
    pub load: u32,
    /// Its libp2p peer id, where it takes part in discovery.
    pub peer: Option<String>,
    /// Multiaddresses at which its peer can be dialled.
    pub dial: Vec<String>,
    /// `host:port` of its node port, where machines join.
    pub join: Option<String>,
    /// Whom its peer is connected with.
    pub links: Vec<Reach>,
    /// Where it hears nodes through the encrypted network, as far as that is not where they say they are.
    pub hears: Vec<Hears>,
}

/// A node as another one hears it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hears {
    /// Which node.
    pub node: NodeId,
    /// Where.
    pub at: SocketAddr,
}

/// A connection of a node with another one, as it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// With whom.
    pub to: NodeId,
    /// How it runs.
    pub path: PeerPath,
    /// Round trip in microseconds, rounded to two digits.
    pub rtt_us: Option<u64>,
}

/// One node as gossip shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which node.
    pub node: NodeId,
    /// Counts its starts: a greater one is the same node, started later.
    pub incarnation: u64,
    /// Where it receives gossip.
    pub address: SocketAddr,
    /// What it says of itself. Shared, since everyone is shown anew with each change of one.
    pub facts: Arc<Facts>,
    /// Whether it is heard of.
    pub standing: Standing,
}

/// Everyone known, this node included.
pub type Members = Arc<BTreeMap<NodeId, Member>>;

/// The view of who is there, and this node's place in it.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// Says something new of this node; what is unchanged costs nothing.
    async fn publish(&self, facts: Facts);

    /// Everyone, and every change. Heartbeats are no changes.
    fn members(&self) -> watch::Receiver<Members>;

    /// Talks to whoever receives gossip at this address, now and without waiting for an answer.
    fn introduce(&self, address: SocketAddr);

    /// Says goodbye and stops taking part.
    async fn leave(&self);
}
