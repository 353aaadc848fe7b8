//! The replicated state store: one ordered history of small values under string keys.
//!
//! [`StateStore`] is the port. Two implementations exist: [`MemoryStore`] in this crate, a fake that
//! lives in one process, and the replicated store in the adapter crate. Both wrap the same pure
//! [`Machine`], so what a command does is written once; both run the suite in [`conformance`].
//!
//! Promises that every implementation keeps:
//!
//! - **STORE-1** An acknowledged transaction is durable as far as the implementation promises
//!   durability at all, and is seen by every later linearizable read.
//! - **STORE-2** A transaction is atomic: all of its operations take effect at one [`Revision`], or none.
//! - **STORE-3** Revisions are dense and only grow. Every change has exactly one revision.
//! - **STORE-4** A watch from revision R yields every change with a revision above R, in order, without
//!   gap and without duplicate, and never splits a revision; when it cannot, it ends with
//!   [`WatchError::Compacted`] and says where to start again.
//! - **STORE-5** A transaction that carries a [`RequestId`] takes effect at most once, however often it
//!   is sent; a repetition returns the first outcome.
//! - **STORE-6** What a command does depends on the history before it and on nothing else: no clock, no
//!   random number, no hash order. A lease therefore ends by a command, never by a timer inside apply.

mod change;
pub mod cluster;
mod command;
pub mod conformance;
mod dedupe;
mod digest;
mod error;
mod history;
mod lease;
mod machine;
mod memory;
mod replica;
mod txn;
mod types;

pub use cluster::{ClusterAdmin, ClusterStatus, Member, Role};
pub use command::{Command, INITIAL_FEATURE_LEVEL, Response, SUPPORTED_FEATURE_LEVEL};
pub use error::{Error, Result, WatchError};
pub use history::History;
pub use lease::LeaseTable;
pub use machine::{Machine, Record};
pub use memory::MemoryStore;
pub use replica::{Replica, WatchStream};
pub use txn::{Guard, Op, RequestId, Txn, TxnOutcome};
pub use types::{
    ClusterId, Consistency, Key, KeyValue, LeaseGrant, LeaseId, Limits, MemberId, Page, Prefix, RangeOut,
    Revision, SnapshotMeta, StoredValue, WatchBatch, WatchEvent,
};

use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWrite;

/// A consistent, ordered, watchable key-value store.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// The value under `key`, or `None`.
    async fn get(&self, key: &Key, consistency: Consistency) -> Result<Option<StoredValue>>;

    /// One page of the keys that start with `prefix`, in key order, as one consistent view.
    ///
    /// Pages are views of their own: pass [`RangeOut::next`] as [`Page::after`] to continue, and compare
    /// the revisions if the pages must agree.
    async fn range(&self, prefix: &Prefix, page: Page, consistency: Consistency) -> Result<RangeOut>;

    /// Checks all guards and, when they hold, applies all operations atomically.
    ///
    /// An error of the kind [`Error::Unavailable`] with `may_have_committed` leaves the outcome open:
    /// send the same [`RequestId`] again to learn it.
    async fn txn(&self, txn: Txn) -> Result<TxnOutcome>;

    /// All changes under `prefix` with a revision above `from`.
    ///
    /// Fails with [`Error::Compacted`] when `from` is older than the kept history; then list the range
    /// again and watch from its revision.
    async fn watch(&self, prefix: &Prefix, from: Revision) -> Result<WatchStream>;

    /// Creates a lease which lives for `ttl` after the last keep-alive.
    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseGrant>;

    /// Renews a lease. Cheap: nothing is written.
    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<LeaseGrant>;

    /// Ends a lease now and deletes the keys attached to it.
    async fn lease_revoke(&self, lease: LeaseId) -> Result<()>;

    /// Writes one consistent snapshot of the local state to `writer`.
    async fn snapshot(&self, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<SnapshotMeta>;

    /// The newest revision applied on this node.
    fn revision(&self) -> Revision;
}

/// The shortest lifetime of a lease.
const MIN_TTL: Duration = Duration::from_millis(100);
/// The longest lifetime of a lease.
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Refuses lifetimes that no implementation can keep.
pub fn check_ttl(ttl: Duration) -> Result<()> {
    if (MIN_TTL..=MAX_TTL).contains(&ttl) {
        return Ok(());
    }
    Err(Error::InvalidTtl { ttl_ms: ttl.as_millis(), min_ms: 100, max_ms: 24 * 60 * 60 * 1000 })
}
