//! Transactions: guards that must hold, operations that are applied when they do, and what became of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::types::{Key, LeaseId, Limits, Prefix, Revision};

/// The caller's name for a transaction, so that it can be sent again after a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId {
    /// The caller: a random number drawn once per process.
    pub client: u128,
    /// The caller's count of requests; each request has its own, and they grow.
    pub sequence: u64,
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guard {
    /// The key was last changed at this revision (compare-and-set).
    ModRevision(Key, Revision),
    /// The key does not exist.
    Absent(Key),
    /// The key exists.
    Exists(Key),
    /// The lease has not ended.
    LeaseAlive(LeaseId),
}

/// An effect of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Sets a value. Without a lease, an earlier attachment ends.
    Put {
        /// Where to.
        key: Key,
        /// What.
        value: Bytes,
        /// The lease that shall delete the key when it ends.
        lease: Option<LeaseId>,
    },
    /// Removes a key, if it exists.
    Delete(Key),
    /// Removes every key that starts with the prefix.
    DeletePrefix(Prefix),
}

/// Guards and operations that are checked and applied as one.
///
/// Operations apply in order. When several touch one key, the last one decides and watchers see one event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn {
    /// Makes repetition safe.
    pub request: Option<RequestId>,
    /// All must hold.
    pub guards: Vec<Guard>,
    /// All are applied when the guards hold.
    pub ops: Vec<Op>,
}

impl Txn {
    /// An unconditional put.
    pub fn put(key: Key, value: impl Into<Bytes>) -> Self {
        Self::default().then(Op::Put { key, value: value.into(), lease: None })
    }

    /// An unconditional delete.
    pub fn delete(key: Key) -> Self {
        Self::default().then(Op::Delete(key))
    }

    /// Creates a key which must not exist yet.
    pub fn create(key: Key, value: impl Into<Bytes>) -> Self {
        Self::put(key.clone(), value).when(Guard::Absent(key))
    }

    /// Replaces a value that must not have changed since `revision`.
    pub fn compare_and_set(key: Key, revision: Revision, value: impl Into<Bytes>) -> Self {
        Self::put(key.clone(), value).when(Guard::ModRevision(key, revision))
    }

    /// Adds a guard.
    pub fn when(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// Adds an operation.
    pub fn then(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// Names the transaction, so that it may be repeated.
    pub fn with_request(mut self, request: RequestId) -> Self {
        self.request = Some(request);
        self
    }

    /// The bytes of all keys and values.
    pub fn size(&self) -> usize {
        let guards = self.guards.iter().map(|guard| match guard {
            Guard::ModRevision(key, _) => key.as_str().len() + 8,
            Guard::Absent(key) | Guard::Exists(key) => key.as_str().len(),
            Guard::LeaseAlive(_) => 8,
        });
        let ops = self.ops.iter().map(|op| match op {
            Op::Put { key, value, .. } => key.as_str().len() + value.len(),
            Op::Delete(key) => key.as_str().len(),
            Op::DeletePrefix(prefix) => prefix.as_str().len(),
        });
        guards.chain(ops).sum()
    }

    /// Refuses what no store accepts.
    pub fn validate(&self, limits: &Limits) -> Result<()> {
        for op in &self.ops {
            if let Op::Put { value, .. } = op
                && value.len() > limits.value_bytes
            {
                return Err(Error::TooLarge { what: "value", size: value.len(), limit: limits.value_bytes });
            }
        }
        let items = self.guards.len() + self.ops.len();
        if items > limits.txn_items {
            return Err(Error::TooLarge { what: "transaction items", size: items, limit: limits.txn_items });
        }
        let size = self.size();
        if size > limits.txn_bytes {
            return Err(Error::TooLarge { what: "transaction", size, limit: limits.txn_bytes });
        }
        Ok(())
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOutcome {
    /// The guards held and the operations are applied.
    Committed {
        /// The revision of the change; when nothing changed, the revision at that moment.
        revision: Revision,
    },
    /// A guard did not hold and nothing was applied.
    GuardFailed {
        /// The position of the first such guard.
        index: usize,
        /// The key it was about, unless it was about a lease.
        key: Option<Key>,
        /// The key's revision now; `None` when it does not exist.
        actual_mod_revision: Option<Revision>,
    },
}

impl TxnOutcome {
    /// The revision of a committed transaction.
    pub fn committed(&self) -> Option<Revision> {
        match self {
            TxnOutcome::Committed { revision } => Some(*revision),
            TxnOutcome::GuardFailed { .. } => None,
        }
    }
}
