//! What clients ask of the store and what it answers, as it goes over the wire. Enums are only ever appended to.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use univrs_ports::store::{
    Consistency, Error, Key, KeyValue, LeaseGrant, LeaseId, Limits, MemberId, Page, Prefix, RequestId,
    Revision, SnapshotMeta, StoredValue, Txn, TxnOutcome, WatchBatch, WatchError,
};

/// A question with one answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Get {
        key: Key,
        consistency: Consistency,
    },
    Txn(Txn),
    Grant {
        ttl: Duration,
    },
    KeepAlive(LeaseId),
    Revoke(LeaseId),
    /// How far is this node, and who leads?
    Where,
}

/// The answer to an [`Ask`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Value(Option<StoredValue>),
    Txn(TxnOutcome),
    Lease(LeaseGrant),
    Revoked,
    Here(Here),
    Fault(Fault),
}

/// Where a node stands.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Here {
    pub(crate) revision: Revision,
    pub(crate) member: MemberId,
    /// The leader and its address, when it is known.
    pub(crate) leader: Option<(MemberId, String)>,
}

/// A question with many answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Open {
    Range { prefix: Prefix, page: Page, consistency: Consistency },
    Watch { prefix: Prefix, from: Revision },
    Snapshot,
}

/// One of the answers to an [`Open`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Piece {
    /// Some of the items of a range.
    Items(Vec<KeyValue>),
    /// There are no more: the revision of the view, and where the next page starts.
    RangeEnd {
        revision: Revision,
        next: Option<Key>,
    },
    /// The watch has begun.
    Watching,
    Batch(WatchBatch),
    /// The watch has ended: the history up to this revision is no longer kept.
    Compacted(Revision),
    /// Some of the bytes of a snapshot.
    Bytes(Bytes),
    SnapshotEnd(SnapshotMeta),
    Fault(Fault),
}

/// The errors that cross the wire. What only the caller's own arguments can cause is checked before sending.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Fault {
    NotLeader {
        leader: Option<MemberId>,
    },
    Unavailable {
        may_have_committed: bool,
    },
    DiskFull,
    TooLarge {
        what: Oversize,
        size: u64,
        limit: u64,
    },
    InvalidKey {
        key: String,
    },
    Compacted {
        oldest: Revision,
    },
    LeaseNotFound {
        lease: LeaseId,
    },
    RequestForgotten {
        request: RequestId,
    },
    FeatureLevel {
        needed: u32,
        current: u32,
    },
    /// The node stops; another one may serve.
    Closed,
    /// Anything else, in words.
    Failed(String),
    /// The caller may not.
    Denied(String),
}

/// What can be too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Oversize {
    Key,
    Value,
    Items,
    Transaction,
}

impl Oversize {
    const ALL: [(Oversize, &'static str); 4] = [
        (Oversize::Key, "key"),
        (Oversize::Value, "value"),
        (Oversize::Items, "transaction items"),
        (Oversize::Transaction, "transaction"),
    ];

    fn named(name: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == name).map_or(Oversize::Transaction, |(sized, _)| *sized)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(sized, _)| *sized == self).map_or("transaction", |(_, name)| *name)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let wide = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        match error {
            Error::NotLeader { leader } => Fault::NotLeader { leader },
            Error::Unavailable { may_have_committed, .. } => Fault::Unavailable { may_have_committed },
            Error::DiskFull => Fault::DiskFull,
            Error::TooLarge { what, size, limit } => {
                Fault::TooLarge { what: Oversize::named(what), size: wide(size), limit: wide(limit) }
            }
            Error::InvalidKey { key, .. } => Fault::InvalidKey { key },
            Error::Compacted { oldest } => Fault::Compacted { oldest },
            Error::LeaseNotFound { lease } => Fault::LeaseNotFound { lease },
            Error::RequestForgotten { request } => Fault::RequestForgotten { request },
            Error::FeatureLevel { needed, current } => Fault::FeatureLevel { needed, current },
            Error::Closed => Fault::Closed,
            Error::Denied { reason } => Fault::Denied(reason),
            other => Fault::Failed(other.to_string()),
        }
    }
}

impl Fault {
    /// The error for the client. `writes` says whether the question would have changed something, so that a failure
    /// on the way leaves open whether it did.
    pub(crate) fn into_error(self, writes: bool) -> Error {
        let narrow = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        match self {
            Fault::NotLeader { leader } => Error::NotLeader { leader },
            Fault::Unavailable { may_have_committed } => Error::Unavailable {
                reason: "the node that was asked found no leader with a quorum in time",
                may_have_committed,
            },
            Fault::DiskFull => Error::DiskFull,
            Fault::TooLarge { what, size, limit } => {
                Error::TooLarge { what: what.name(), size: narrow(size), limit: narrow(limit) }
            }
            Fault::InvalidKey { key } => Error::InvalidKey { key, reason: "the store refused it" },
            Fault::Compacted { oldest } => Error::Compacted { oldest },
            Fault::LeaseNotFound { lease } => Error::LeaseNotFound { lease },
            Fault::RequestForgotten { request } => Error::RequestForgotten { request },
            Fault::FeatureLevel { needed, current } => Error::FeatureLevel { needed, current },
            Fault::Closed => {
                Error::Unavailable { reason: "the node that was asked stops", may_have_committed: writes }
            }
            Fault::Denied(reason) => Error::Denied { reason },
            Fault::Failed(reason) => {
                tracing::warn!(reason, "the node that was asked failed to answer");
                Error::Unavailable { reason: "the node that was asked failed", may_have_committed: writes }
            }
        }
    }
}

impl From<WatchError> for Piece {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Compacted { oldest } => Piece::Compacted(oldest),
            WatchError::Closed => Piece::Fault(Fault::Closed),
        }
    }
}

/// Refuses keys that came over the wire and that no caller here could have made.
pub(crate) fn check_keys(txn: &Txn) -> Result<(), Error> {
    use univrs_ports::store::{Guard, Op};
    txn.validate(&Limits::DEFAULT)?;
    for guard in &txn.guards {
        match guard {
            Guard::ModRevision(key, _) | Guard::Absent(key) | Guard::Exists(key) => key.check()?,
            Guard::LeaseAlive(_) => {}
        }
    }
    for op in &txn.ops {
        match op {
            Op::Put { key, .. } | Op::Delete(key) => key.check()?,
            Op::DeletePrefix(_) => {}
        }
    }
    Ok(())
}
