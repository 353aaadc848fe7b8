//! The words of the store: keys, values, pages, watch batches. Plain data, no behaviour beyond validation.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

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

/// Reads a text into its place with one copy, where the general way makes two.
fn shared_text<'de, D: Deserializer<'de>>(input: D) -> Result<Arc<str>, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Arc<str>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a text")
        }

        fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
            Ok(text.into())
        }
    }
    input.deserialize_str(Text)
}

/// A key: UTF-8, not empty, at most 1 KiB, without NUL. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(#[serde(deserialize_with = "shared_text")] Arc<str>);

impl Key {
    /// Checks and wraps a key.
    pub fn new(key: impl Into<Arc<str>>) -> Result<Self> {
        let key = Self(key.into());
        key.check()?;
        Ok(key)
    }

    /// Refuses what no key may be. For keys that came from outside without going through [`Key::new`].
    pub fn check(&self) -> Result<()> {
        let key = &self.0;
        if key.is_empty() {
            return Err(Error::InvalidKey { key: String::new(), reason: "it is empty" });
        }
        if key.len() > Limits::DEFAULT.key_bytes {
            return Err(Error::TooLarge { what: "key", size: key.len(), limit: Limits::DEFAULT.key_bytes });
        }
        if key.contains('\0') {
            return Err(Error::InvalidKey { key: key.to_string(), reason: "it contains a NUL character" });
        }
        Ok(())
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
pub struct Prefix(#[serde(deserialize_with = "shared_text")] Arc<str>);

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// What is stored under it.
    pub value: StoredValue,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// All changes of one revision that a watcher asked for.
///
/// A batch without events is a bookmark: nothing that the watcher asked for happened up to its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchBatch {
    /// The revision of the changes.
    pub revision: Revision,
    /// The changes, in key order; one per key.
    pub events: Vec<WatchEvent>,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The newest revision in it.
    pub revision: Revision,
    /// How many keys it has.
    pub keys: u64,
    /// How many bytes were written.
    pub bytes: u64,
}
