//! Machines: what they are, have, and are used for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::NodeId;
use crate::member::WireGuard;
use crate::name::Name;
use crate::quantity::{Bytes, Cpu};

/// What a node is for; one machine alone is all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds the state, may vote, schedules.
    Validator,
    /// Runs workloads, serves API and ingress.
    Business,
    /// Runs workloads only.
    Slim,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Validator, Self::Business, Self::Slim];

    /// Its name, such as `validator`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Business => "business",
            Self::Slim => "slim",
        }
    }
}

/// Why a text is not a [`Role`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role `{0}`; there are validator, business and slim")]
pub struct UnknownRole(String);

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// What containers run on here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// OCI containers without a daemon.
    Oci,
    /// Docker Engine.
    Docker,
    /// Nothing real: scripted, for tests and rehearsals.
    Simulated,
}

/// What a node has to give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capacity {
    /// Processor time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
    /// Disk for volumes.
    pub disk: Bytes,
}

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    /// Whose machines these are, such as `aws`; `local` when not said.
    pub cloud: String,
    /// Part of the cloud, such as `us-east-1`.
    pub region: String,
    /// Part of the region that fails together.
    pub zone: String,
    /// Who runs the machine.
    pub operator: String,
}

impl Default for Location {
    fn default() -> Self {
        let local = || "local".to_owned();
        Self { cloud: local(), region: local(), zone: local(), operator: local() }
    }
}

/// A node as it says of itself. Written by the node, except [`NodePolicy`], which is the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its id, made once per data directory.
    pub id: NodeId,
    /// Its name, the host's by default.
    pub name: Name,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Where it stands.
    pub location: Location,
    /// What it has to give, overcommitment applied.
    pub capacity: Capacity,
    /// What containers run on; absent on a node that runs none.
    pub runtime: Option<RuntimeKind>,
    /// `host:port` of its API, for people.
    pub api_address: String,
    /// `host:port` at which other nodes reach it; absent on a node that no other can reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its block of the cluster's address range, for its containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// How its containers are reached through the encrypted network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wireguard: Option<WireGuard>,
    /// Its libp2p peer id, which is its public key there; absent on a node that takes no part in discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Version of its binary.
    pub version: String,
    /// Directories that workloads may bind, with all below them; none by default.
    #[serde(default)]
    pub bind_paths: Vec<String>,
    /// Labels given at its start.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it first appeared.
    pub created_at: Timestamp,
}

/// What users say about a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodePolicy {
    /// No new instances are placed here.
    #[serde(default)]
    pub cordoned: bool,
    /// Instances are moved away.
    #[serde(default)]
    pub draining: bool,
    /// Labels given by users; they win over the node's own.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When users last said something.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
}

/// Whether a node can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It renews its lease.
    Ready,
    /// Its lease has run out.
    Lost,
}

/// What a node does for the replicated state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatePart {
    /// It orders all writes, and votes.
    Leader,
    /// A majority of its kind takes in every write.
    Voter,
    /// It has a copy and does not vote.
    Follower,
}

/// A node as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// What the node says of itself.
    #[serde(flatten)]
    pub node: Node,
    /// Revision of its last change.
    pub revision: u64,
    /// When users last changed it, or when it first appeared.
    pub updated_at: Timestamp,
    /// Whether it can be used.
    pub state: NodeState,
    /// Whether it can be heard: its lease has not run out.
    #[serde(default)]
    pub reachable: bool,
    /// What it does for the replicated state; absent when it holds no copy, or the node that was asked does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_part: Option<StatePart>,
    /// Whether users keep new instances away.
    pub cordoned: bool,
    /// Whether instances are being moved away.
    pub draining: bool,
    /// What its instances have asked for.
    pub requested: Capacity,
    /// How many instances it holds.
    pub instances: u32,
}
