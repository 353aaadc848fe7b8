//! Peers that find each other: who is connected, by which path, and what they call out to all.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};
use univrs_model::Timestamp;
use univrs_model::ids::{ClusterId, NodeId};
pub use univrs_model::peer::PeerPath as Path;

/// What calls to all are about. Each has a topic of its own, `/univrs/1/<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Where a node can be found.
    Announce,
    /// Versions of the binary.
    Version,
    /// What nodes think of each other.
    Reputation,
    /// Promises and payments.
    Credit,
    /// What runs where, for those who look on.
    Workload,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 5] =
        [Self::Announce, Self::Version, Self::Reputation, Self::Credit, Self::Workload];

    /// Its name in the network, such as `/univrs/1/announce`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Announce => "/univrs/1/announce",
            Self::Version => "/univrs/1/version",
            Self::Reputation => "/univrs/1/reputation",
            Self::Credit => "/univrs/1/credit",
            Self::Workload => "/univrs/1/workload",
        }
    }
}

/// What a peer says of itself when it is asked: the transport proves its peer id, admission proves the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// Its libp2p peer id.
    pub peer: String,
    /// The node it says it is; absent before it has joined.
    pub node: Option<NodeId>,
    /// The cluster it belongs to.
    pub cluster: Option<ClusterId>,
    /// Version of its binary.
    pub version: String,
    /// Where it receives gossip.
    pub gossip: Option<SocketAddr>,
    /// `host:port` where machines join the cluster through it.
    pub join: Option<String>,
    /// Multiaddresses at which it listens.
    pub listen: Vec<String>,
}

/// Who is a member. Asked often, so it answers from memory.
pub trait Admission: Send + Sync + 'static {
    /// Whether the membership record of `node` holds the key of `peer`.
    ///
    /// # Errors
    /// Why not, for the log.
    fn admit(&self, peer: &str, node: &NodeId) -> Result<(), String>;
}

/// A peer that is a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Its peer id.
    pub peer: String,
    /// The node it is.
    pub node: NodeId,
    /// Whether there is a connection now.
    pub connected: bool,
    /// The address of the other end.
    pub address: Option<String>,
    /// How the connection runs.
    pub path: Option<Path>,
    /// Round trip in microseconds, from the latest ping.
    pub rtt_us: Option<u64>,
    /// What it says of itself.
    pub record: PeerRecord,
}

/// Something that happened among members. Strangers cause none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MeshEvent {
    /// A member is connected.
    PeerConnected {
        /// Who.
        node: NodeId,
        /// Its peer id.
        peer: String,
        /// How.
        path: Path,
    },
    /// Its last connection is gone.
    PeerDisconnected {
        /// Who.
        node: NodeId,
        /// Its peer id.
        peer: String,
    },
    /// A member called out to all, and its signature fits what it says.
    Message(Message),
}

/// A call to all that passed every check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What it is about.
    pub topic: Topic,
    /// Who says it.
    pub author: NodeId,
    /// When, by the author's clock.
    pub at: Timestamp,
    /// What.
    pub body: serde_json::Value,
}

/// Why a call to all was not made.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Nobody is there to hear it.
    #[error("no connected peer listens to {}", .0.path())]
    Nobody(Topic),
    /// It is too long.
    #[error("the message has {size} bytes; at most {limit} are carried")]
    TooLong {
        /// Bytes of the message.
        size: usize,
        /// Bytes that are carried.
        limit: usize,
    },
    /// The node has not joined.
    #[error("this node has not joined a cluster, so it has no name to sign with")]
    NotJoined,
    /// Discovery has stopped, or its queue is full.
    #[error("discovery does not take the message: {0}")]
    Refused(String),
}

/// Peers of this node.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// This node's own peer id.
    fn local(&self) -> String;

    /// Multiaddresses at which others carry this peer's traffic, because they cannot reach it themselves.
    fn carried_at(&self) -> Vec<String> {
        Vec::new()
    }

    /// Members that were met, and every change.
    fn peers(&self) -> watch::Receiver<Arc<Vec<PeerView>>>;

    /// What happens from now on; who is slow loses the oldest.
    fn events(&self) -> broadcast::Receiver<MeshEvent>;

    /// Calls out to all members.
    ///
    /// # Errors
    /// See [`PublishError`].
    async fn publish(&self, topic: Topic, body: serde_json::Value) -> Result<(), PublishError>;

    /// Dials a multiaddress and returns what its peer says of itself, member or not.
    ///
    /// # Errors
    /// Why nobody answered, naming the address.
    async fn ask(&self, address: &str) -> Result<PeerRecord, String>;

    /// Dials a member, at any of these addresses.
    async fn dial(&self, peer: &str, addresses: &[String]);
}
