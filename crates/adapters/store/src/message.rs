//! What members say to each other. Enums are only ever appended to.

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};
use univrs_ports::store::{ClusterId, Error, LeaseGrant, LeaseId, MemberId, Response};

use crate::types::{Proposal, Types, Vote};

/// Who asks whom. A frame for another cluster or another member is refused.
#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope<T> {
    pub(crate) cluster: ClusterId,
    pub(crate) to: MemberId,
    pub(crate) body: T,
}

/// A question.
#[derive(Serialize, Deserialize)]
pub(crate) enum Question {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    TransferLeader(TransferLeaderRequest<Types>),
    /// A piece of a snapshot; the first has offset zero, the last is empty and installs it.
    Snapshot(SnapshotPiece),
    /// Commands for the leader, and how many.
    Forward(Proposal),
    KeepAlive(LeaseId),
    /// Up to which entry must be applied for a linearizable read?
    ReadIndex,
    /// Which feature level does the program support?
    SupportedLevel,
}

/// A piece of a snapshot on its way.
#[derive(Serialize, Deserialize)]
pub(crate) struct SnapshotPiece {
    /// The leader that sends it.
    pub(crate) vote: Vote,
    /// Tells transfers apart.
    pub(crate) transfer: u64,
    pub(crate) offset: u64,
    pub(crate) total: u64,
    pub(crate) bytes: Bytes,
}

/// An answer.
#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    Append(AppendEntriesResponse<Types>),
    Vote(VoteResponse<Types>),
    TransferLeader(TransferLeaderResponse<Types>),
    /// The piece is stored.
    SnapshotPiece,
    SnapshotInstalled(SnapshotResponse<Types>),
    Forwarded(Vec<Result<Response, Refusal>>),
    KeptAlive(LeaseGrant),
    ReadIndex(u64),
    SupportedLevel(u32),
    Refused(Refusal),
}

/// The errors that cross the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Refusal {
    NotLeader {
        leader: Option<MemberId>,
    },
    Unavailable {
        may_have_committed: bool,
    },
    DiskFull,
    LeaseNotFound(LeaseId),
    FeatureLevel {
        needed: u32,
        current: u32,
    },
    OtherCluster {
        found: ClusterId,
    },
    OtherMember {
        found: MemberId,
    },
    TooLarge,
    /// The member has stopped, or the question makes no sense to it.
    Failed(String),
}

impl Refusal {
    pub(crate) fn into_error(self, expected: ClusterId, asked: MemberId) -> Error {
        match self {
            Refusal::NotLeader { leader } => Error::NotLeader { leader },
            Refusal::Unavailable { may_have_committed } => {
                Error::Unavailable { reason: "the leader cannot reach a quorum", may_have_committed }
            }
            Refusal::DiskFull => Error::DiskFull,
            Refusal::LeaseNotFound(lease) => Error::LeaseNotFound { lease },
            Refusal::FeatureLevel { needed, current } => Error::FeatureLevel { needed, current },
            Refusal::OtherCluster { found } => Error::OtherCluster { expected, found },
            Refusal::OtherMember { found } => Error::OtherMember { expected: asked, found },
            Refusal::TooLarge => Error::TooLarge { what: "transaction", size: 0, limit: 0 },
            Refusal::Failed(reason) => {
                tracing::warn!(member = %asked, reason, "another member failed to answer");
                // One that stops may have written before.
                Error::Unavailable { reason: "the other member failed to answer", may_have_committed: true }
            }
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::NotLeader { leader } => Refusal::NotLeader { leader },
            Error::Unavailable { may_have_committed, .. } => Refusal::Unavailable { may_have_committed },
            Error::DiskFull => Refusal::DiskFull,
            Error::LeaseNotFound { lease } => Refusal::LeaseNotFound(lease),
            Error::FeatureLevel { needed, current } => Refusal::FeatureLevel { needed, current },
            Error::TooLarge { .. } => Refusal::TooLarge,
            Error::OtherCluster { found, .. } => Refusal::OtherCluster { found },
            Error::OtherMember { found, .. } => Refusal::OtherMember { found },
            other => Refusal::Failed(other.to_string()),
        }
    }
}
