//! The words of the store: keys, values, transactions, watch batches. Plain data, no behaviour beyond
//! validation.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// A point in the store's history. Zero is before the first change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a lease, given by the store; never reused within a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a node among the members that replicate the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of one history. Data of one cluster is never accepted by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Sizes above which a request is refused with [`Error::TooLarge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest key, in bytes.
    pub key_bytes: usize,
    /// Largest value, in bytes.
    pub value_bytes: usize,
    /// Largest transaction: keys and values of all guards and operations, in bytes.
    pub txn_bytes: usize,
    /// Most guards plus operations in one transaction.
    pub txn_items: usize,
}

impl Limits {
    /// The limits of this version of the store.
    pub const DEFAULT: Limits =
        Limits { key_bytes: 1024, value_bytes: 1 << 20, txn_bytes: 4 << 20, txn_items: 4096 };
}

/// A key: UTF-8, not empty, at most 1 KiB, without NUL. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(Arc<str>);

impl Key {
    /// Checks and wraps a key.
    pub fn new(key: impl Into<Arc<str>>) -> Result<Self> {
        let key = key.into();
        if key.is_empty() {
            return Err(Error::InvalidKey { key: String::new(), reason: "it is empty" });
        }
        if key.len() > Limits::DEFAULT.key_bytes {
            return Err(Error::TooLarge { what: "key", size: key.len(), limit: Limits::DEFAULT.key_bytes });
        }
        if key.contains('\0') {
            return Err(Error::InvalidKey { key: key.to_string(), reason: "it contains a NUL character" });
        }
        Ok(Self(key))
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<&str> for Key {
    type Error = Error;

    fn try_from(key: &str) -> Result<Self> {
        Self::new(key)
    }
}

impl TryFrom<String> for Key {
    type Error = Error;

    fn try_from(key: String) -> Result<Self> {
        Self::new(key)
    }
}

/// The start of keys. The empty prefix stands for all keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// A prefix of keys.
    pub fn new(prefix: impl Into<Arc<str>>) -> Self {
        Self(prefix.into())
    }

    /// Every key.
    pub fn all() -> Self {
        Self::new("")
    }

    /// The text of the prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` starts with this prefix.
    pub fn contains(&self, key: &Key) -> bool {
        key.as_str().starts_with(&*self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value with the marks that guards and caches need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredValue {
    /// The bytes as they were put.
    pub value: Bytes,
    /// The revision at which the key was created.
    pub create_revision: Revision,
    /// The revision of the last change: the token for compare-and-set, and a fence.
    pub mod_revision: Revision,
    /// How often the key was put since it was created; starts at one.
    pub version: u64,
    /// The lease which deletes the key when it ends.
    pub lease: Option<LeaseId>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// What is stored under it.
    pub value: StoredValue,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Whatever this node has applied, after waiting for `min_revision` if one is given.
    Local {
        /// The revision the caller already knows of: read your own writes.
        min_revision: Option<Revision>,
    },
    /// Includes every transaction acknowledged anywhere before the read started.
    Linearizable,
}

impl Consistency {
    /// The local state, however old.
    pub const LOCAL: Consistency = Consistency::Local { min_revision: None };
}

/// Which part of a range to return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Continue behind this key.
    pub after: Option<Key>,
    /// Most items to return; at least one is.
    pub limit: usize,
}

impl Page {
    /// Everything on one page.
    pub fn all() -> Self {
        Self { after: None, limit: usize::MAX }
    }

    /// The first `limit` items.
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }
}

/// One page of a range, as one consistent view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeOut {
    /// The items in key order.
    pub items: Vec<KeyValue>,
    /// The revision of the view: watch from here to miss nothing.
    pub revision: Revision,
    /// Where the next page starts, when there is one.
    pub next: Option<Key>,
}

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

/// All changes of one revision that a watcher asked for.
///
/// A batch without events is a bookmark: nothing that the watcher asked for happened up to its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchBatch {
    /// The revision of the changes.
    pub revision: Revision,
    /// The changes, in key order; one per key.
    pub events: Vec<WatchEvent>,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The key was created or replaced.
    Put {
        /// The key.
        key: Key,
        /// Its new value.
        value: StoredValue,
    },
    /// The key was removed.
    Delete {
        /// The key.
        key: Key,
    },
}

impl WatchEvent {
    /// The key that changed.
    pub fn key(&self) -> &Key {
        match self {
            WatchEvent::Put { key, .. } | WatchEvent::Delete { key } => key,
        }
    }
}

/// A lease as granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGrant {
    /// Its name.
    pub id: LeaseId,
    /// How long it lives after the last keep-alive.
    pub ttl: Duration,
}

/// What a snapshot contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The newest revision in it.
    pub revision: Revision,
    /// How many keys it has.
    pub keys: u64,
    /// How many bytes were written.
    pub bytes: u64,
}
