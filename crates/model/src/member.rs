//! Who belongs to the cluster: what joining writes down, and what both sides of a join say to each other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{ClusterId, JoinTokenId, NodeId};
use crate::name::Name;
use crate::node::{Location, Role};
use crate::secret::{DataKey, SecretVersion, ValidatorKey};

/// How many machines vote where nobody said, if that many may: an odd number, for an even one survives no more.
pub const VOTERS: u32 = 5;
/// The most that may vote: each write waits for the slower half of them.
pub const MOST_VOTERS: u32 = 7;

/// A machine that belongs to the cluster, or did until it was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub node: NodeId,
    /// Its name when it joined; no two members have the same.
    pub name: Name,
    /// Its number among those that hold a copy of the state; absent on slim nodes, which hold none. Never reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<u64>,
    /// What it may be.
    pub roles: Vec<Role>,
    /// Where it stands.
    pub location: Location,
    /// The public key of its certificates, as hex. They may expire; the key stays.
    pub public_key: String,
    /// `host:port` at which other nodes reached it when it joined; its [`crate::node::Node`] has the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its block of the cluster's address range, such as `100.64.3.0/24`. No other member has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// When it was removed, if it was: its certificate may live on for a day, and is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
}

impl Member {
    /// Whether it holds a copy of the state.
    pub fn holds_state(&self) -> bool {
        holds_state(&self.roles)
    }

    /// Whether it may vote.
    pub fn may_vote(&self) -> bool {
        self.removed_at.is_none() && self.member.is_some() && self.roles.contains(&Role::Validator)
    }
}

/// Whether a machine with these roles holds a copy of the state.
pub fn holds_state(roles: &[Role]) -> bool {
    roles.iter().any(|role| matches!(role, Role::Validator | Role::Business))
}

/// What all joins share. Each of them changes it, so that no two can take the same number, name or block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The number that the next member with a copy of the state gets.
    pub next_member: u64,
    /// The range that blocks are taken from.
    pub cluster_cidr: String,
    /// How many members vote, where that many may.
    pub voters: u32,
}

/// The cluster's authority: its certificate, and its key in a form that only validators can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRecord {
    /// Its certificate in DER, as hex.
    pub certificate: String,
    /// What its key is sealed with, wrapped to every validator.
    pub key: DataKey,
    /// Its key, sealed.
    pub sealed: String,
    /// What the sealed key is bound to.
    pub version: SecretVersion,
}

/// What a machine says that wants to join.
#[derive(Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    /// Which token.
    pub token: JoinTokenId,
    /// The token's secret.
    pub secret: String,
    /// The machine's own id, so that it may ask again when the answer was lost.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// What it is to be.
    pub roles: Vec<Role>,
    /// Where it stands.
    pub location: Location,
    /// Its request for a certificate in DER, as hex.
    pub certificate_request: String,
    /// What data keys are wrapped to, for a validator.
    #[serde(default)]
    pub sealing_key: Option<ValidatorKey>,
    /// `host:port` at which other nodes reach it.
    pub address: String,
    /// What its clock shows.
    pub now: Timestamp,
    /// Version of its binary.
    pub version: String,
}

/// What a machine is told that wanted to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinReply {
    /// It is a member.
    Welcome(Box<Welcome>),
    /// It is not, and asking again changes nothing.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// It is not yet: the cluster cannot decide now.
    Later {
        /// Why.
        reason: String,
    },
}

/// What a new member needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its own record.
    pub me: Member,
    /// Its certificate in DER, as hex.
    pub certificate: String,
    /// The authority's certificate in DER, as hex.
    pub authority: String,
    /// The range that blocks are taken from.
    pub cluster_cidr: String,
    /// Everyone, itself included.
    pub members: Vec<Member>,
}

/// How containers of other nodes are reached from a node through the encrypted network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WireGuard {
    /// Public key in base64.
    pub public_key: String,
    /// UDP port at the node's address.
    pub port: u16,
}
