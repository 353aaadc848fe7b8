//! What can change the state, and what it answers. Both go into logs and snapshots, so they only grow.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::txn::{RequestId, Txn, TxnOutcome};
use super::types::{LeaseGrant, LeaseId};

/// The feature level of a new cluster.
pub const INITIAL_FEATURE_LEVEL: u32 = 1;

/// The highest feature level that this version understands.
pub const SUPPORTED_FEATURE_LEVEL: u32 = 1;

/// Everything that can change the state. Variants are only ever appended, never changed or removed: logs
/// live long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A transaction.
    Txn(Txn),
    /// Creates a lease.
    GrantLease {
        /// How long it lives after the last keep-alive.
        ttl: Duration,
    },
    /// Ends a lease at the owner's wish.
    RevokeLease {
        /// The lease.
        lease: LeaseId,
    },
    /// Ends leases that were not kept alive. Proposed by the leader, whose clock decides.
    ExpireLeases {
        /// The leases; those that have ended already are passed over.
        leases: Vec<LeaseId>,
    },
    /// Allows the commands of a level; never goes down.
    RaiseFeatureLevel {
        /// The new level.
        level: u32,
    },
}

impl Command {
    /// The feature level a cluster must have before this command may be proposed.
    pub fn required_level(&self) -> u32 {
        match self {
            Command::Txn(_)
            | Command::GrantLease { .. }
            | Command::RevokeLease { .. }
            | Command::ExpireLeases { .. }
            | Command::RaiseFeatureLevel { .. } => 1,
        }
    }

    /// The bytes of keys and values in it.
    pub fn size(&self) -> usize {
        match self {
            Command::Txn(txn) => txn.size(),
            Command::ExpireLeases { leases } => leases.len() * 8,
            Command::GrantLease { .. } | Command::RevokeLease { .. } | Command::RaiseFeatureLevel { .. } => 8,
        }
    }
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The outcome of a transaction.
    Txn(TxnOutcome),
    /// A lease was created.
    Granted(LeaseGrant),
    /// A lease was ended.
    Revoked,
    /// So many leases were ended.
    Expired(u64),
    /// The feature level now.
    FeatureLevel(u32),
    /// The lease does not exist; nothing was changed.
    LeaseNotFound(LeaseId),
    /// The outcome of this request is forgotten; nothing was changed.
    RequestForgotten(RequestId),
}

impl Response {
    /// The outcome of a transaction.
    pub fn into_txn(self) -> Result<TxnOutcome> {
        match self {
            Response::Txn(outcome) => Ok(outcome),
            other => Err(other.into_error()),
        }
    }

    /// The granted lease.
    pub fn into_grant(self) -> Result<LeaseGrant> {
        match self {
            Response::Granted(grant) => Ok(grant),
            other => Err(other.into_error()),
        }
    }

    /// Nothing, when the lease was there.
    pub fn into_revoked(self) -> Result<()> {
        match self {
            Response::Revoked => Ok(()),
            other => Err(other.into_error()),
        }
    }

    fn into_error(self) -> Error {
        match self {
            Response::LeaseNotFound(lease) => Error::LeaseNotFound { lease },
            Response::RequestForgotten(request) => Error::RequestForgotten { request },
            Response::Txn(_)
            | Response::Granted(_)
            | Response::Revoked
            | Response::Expired(_)
            | Response::FeatureLevel(_) => {
                Error::Unavailable { reason: "the answer does not fit the request", may_have_committed: true }
            }
        }
    }
}
