//! Who replicates the store, and changing that at run time.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::error::Result;
use super::types::{ClusterId, MemberId, Revision};

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Counts for the quorum.
    Voter,
    /// Has a copy and does not count.
    Learner,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: MemberId,
    /// Where the other members reach it.
    pub address: String,
    /// Whether it votes.
    pub role: Role,
    /// The last log entry it is known to have; only the leader knows.
    pub matched: Option<u64>,
}

/// How the local node sees the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The local node.
    pub member: MemberId,
    /// The leader, when there is one.
    pub leader: Option<MemberId>,
    /// The election term.
    pub term: u64,
    /// The last entry of the local log.
    pub last_log_index: u64,
    /// The last entry applied to the local state.
    pub applied_index: u64,
    /// The last entry covered by the local snapshot.
    pub snapshot_index: u64,
    /// The newest local revision.
    pub revision: Revision,
    /// Which commands every member understands.
    pub feature_level: u32,
    /// The voters are being changed: until that is done, majorities of the old ones and of the new ones are needed.
    pub changing: bool,
    /// The log cannot be extended for want of space.
    pub disk_full: bool,
    /// The disk has not taken in for seconds what is to be written, and that is much.
    pub disk_hangs: bool,
    /// All members.
    pub members: Vec<Member>,
}

/// Changes of the members. All are refused unless sent to the leader.
#[async_trait]
pub trait ClusterAdmin: Send + Sync + 'static {
    /// All members, as the local node knows them.
    async fn members(&self) -> Result<Vec<Member>>;

    /// Adds a member without a vote and returns at once; its copy fills in the background. A member that is known
    /// already is only given the new address.
    async fn add_learner(&self, id: MemberId, address: String) -> Result<()>;

    /// Gives a learner a vote. Refused with [`NotCaughtUp`](super::Error::NotCaughtUp) while its copy is behind.
    async fn promote(&self, id: MemberId) -> Result<()>;

    /// Gives the vote to exactly these members, in one change; the others stay without one. Refused with
    /// [`NotCaughtUp`](super::Error::NotCaughtUp) while the copy of one who would be new to it is behind.
    async fn set_voters(&self, voters: BTreeSet<MemberId>) -> Result<()>;

    /// Removes a member, voter or learner.
    async fn remove(&self, id: MemberId) -> Result<()>;

    /// Hands the lead to another voter.
    async fn transfer_leader(&self, to: MemberId) -> Result<()>;

    /// Tells every member that commands up to `level` may now be used.
    async fn raise_feature_level(&self, level: u32) -> Result<u32>;

    /// How the local node sees the cluster.
    async fn status(&self) -> Result<ClusterStatus>;
}
