//! What can go wrong with a store, and what the caller can do about it.

use std::io;
use std::path::PathBuf;

use super::txn::RequestId;
use super::types::{ClusterId, LeaseId, MemberId, Revision};

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only the leader can do this and no forwarding was possible. Nothing was written.
    #[error("this node is not the leader of the store (leader: {})", leader.map_or_else(|| "unknown".to_owned(), |l| l.to_string()))]
    NotLeader {
        /// The leader, as far as this node knows.
        leader: Option<MemberId>,
    },
    /// No quorum, no leader, or no answer in time. Try again.
    #[error("the store is unavailable: {reason}{}", if *may_have_committed { "; the write may have been applied" } else { "" })]
    Unavailable {
        /// What was missing.
        reason: &'static str,
        /// Whether a write may nevertheless take effect: repeat it with the same request id to learn.
        may_have_committed: bool,
    },
    /// The disk of the leader is full: writes are refused and reads go on. Writes work again, without a
    /// restart, as soon as there is space.
    #[error("no space left for the log of the store; reads go on, writes are refused until there is space")]
    DiskFull,
    /// Stored data is damaged. The store refuses to start rather than to forget acknowledged writes.
    #[error(
        "{} is damaged at byte {offset}: {reason}; restore the file or the whole directory from a backup, or, if other members of the cluster are healthy, remove this member, empty its directory and let it join again",
        path.display()
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The data was written by a newer version. Start that version again.
    #[error("{} has format version {found}, this program reads up to {supported}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
    /// The data belongs to another cluster.
    #[error("the data belongs to cluster {found}, not to {expected}")]
    OtherCluster {
        /// The cluster asked for.
        expected: ClusterId,
        /// The cluster found.
        found: ClusterId,
    },
    /// The data belongs to another member of the cluster.
    #[error("the data belongs to member {found}, not to {expected}")]
    OtherMember {
        /// The member asked for.
        expected: MemberId,
        /// The member found.
        found: MemberId,
    },
    /// The directory has no data and the caller did not ask to create a cluster.
    #[error("{} has no store; bootstrap a new cluster or name the cluster to join", path.display())]
    NotInitialised {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has the directory open.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A request is larger than the store accepts.
    #[error("{what} is too large: {size}, the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A key is malformed.
    #[error("key {key:?} is not valid: {reason}")]
    InvalidKey {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The watch asks for history that is no longer kept. List again, then watch from there.
    #[error("history up to revision {oldest} is no longer kept")]
    Compacted {
        /// The oldest revision a watch can start from.
        oldest: Revision,
    },
    /// The lease has ended or never existed.
    #[error("lease {lease} does not exist")]
    LeaseNotFound {
        /// The lease.
        lease: LeaseId,
    },
    /// A lease was asked for with a lifetime outside the accepted range.
    #[error("a lease of {ttl_ms} ms is not possible, it must be between {min_ms} and {max_ms} ms")]
    InvalidTtl {
        /// The lifetime asked for.
        ttl_ms: u128,
        /// The shortest lifetime.
        min_ms: u64,
        /// The longest lifetime.
        max_ms: u64,
    },
    /// The request id is so old that its outcome is forgotten; it was not applied again.
    #[error("the outcome of request {} of client {:x} is forgotten", request.sequence, request.client)]
    RequestForgotten {
        /// The request.
        request: RequestId,
    },
    /// Not every member knows this kind of command yet, or the level asked for is not known here.
    #[error("the command needs feature level {needed}, the cluster is at {current}")]
    FeatureLevel {
        /// The level that the command needs.
        needed: u32,
        /// The level of the cluster.
        current: u32,
    },
    /// A learner is too far behind to be given a vote.
    #[error("member {member} is {behind} log entries behind and cannot vote yet")]
    NotCaughtUp {
        /// The learner.
        member: MemberId,
        /// How far it is behind.
        behind: u64,
    },
    /// A change of the members was refused.
    #[error("the members cannot be changed: {reason}")]
    Membership {
        /// Why.
        reason: String,
    },
    /// Reading or writing a file failed.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason given by the system.
        #[source]
        source: io::Error,
    },
    /// Writing a snapshot to its destination failed.
    #[error("failed to write the snapshot")]
    SnapshotWrite {
        /// The reason given by the system.
        #[source]
        source: io::Error,
    },
    /// The caller may not do that with these keys. Nothing was written.
    #[error("{reason}")]
    Denied {
        /// What it may not.
        reason: String,
    },
    /// The store was shut down, or stopped itself after a failure that it logged.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// The same failure of a write of which an earlier attempt may have taken effect: what this attempt says of itself
    /// alone, that nothing was written, is no longer the whole truth.
    #[must_use]
    pub fn in_doubt(self) -> Self {
        match self {
            Error::NotLeader { .. } => {
                Error::Unavailable { reason: "the leader changed while writing", may_have_committed: true }
            }
            Error::DiskFull => {
                Error::Unavailable { reason: "the leader's disk is full", may_have_committed: true }
            }
            Error::Unavailable { reason, .. } => Error::Unavailable { reason, may_have_committed: true },
            other => other,
        }
    }

    /// The same request may succeed later without a change by the caller.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::NotLeader { .. } | Error::Unavailable { .. } | Error::DiskFull)
    }
}

/// Why a watch ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The watcher fell behind the kept history. List again, then watch from there.
    #[error("history up to revision {oldest} is no longer kept")]
    Compacted {
        /// The oldest revision a watch can start from.
        oldest: Revision,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}
