//! A store that a control node loses at a chosen write: as `kill -9` just before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWrite;
use tokio::sync::Notify;
use univrs_ports::store::{
    Consistency, Key, LeaseGrant, LeaseId, Page, Prefix, RangeOut, Result, Revision, SnapshotMeta,
    StateStore, StoredValue, Txn, TxnOutcome, WatchStream,
};

/// The shared store, as long as it lives for this node.
pub(crate) struct Mortal {
    store: Arc<dyn StateStore>,
    left: AtomicU64,
    pub(crate) ended: Notify,
}

impl Mortal {
    /// A store that takes so many writes.
    pub(crate) fn after(store: &Arc<dyn StateStore>, writes: u64) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(store), left: writes.into(), ended: Notify::new() })
    }
}

#[async_trait]
impl StateStore for Mortal {
    async fn get(&self, key: &Key, consistency: Consistency) -> Result<Option<StoredValue>> {
        self.store.get(key, consistency).await
    }

    async fn range(&self, prefix: &Prefix, page: Page, consistency: Consistency) -> Result<RangeOut> {
        self.store.range(prefix, page, consistency).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome> {
        let less = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
            self.ended.notify_one();
            std::future::pending::<()>().await;
        }
        self.store.txn(txn).await
    }

    async fn watch(&self, prefix: &Prefix, from: Revision) -> Result<WatchStream> {
        self.store.watch(prefix, from).await
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseGrant> {
        self.store.lease_grant(ttl).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<LeaseGrant> {
        self.store.lease_keep_alive(lease).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        self.store.lease_revoke(lease).await
    }

    async fn snapshot(&self, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<SnapshotMeta> {
        self.store.snapshot(writer).await
    }

    fn revision(&self) -> Revision {
        self.store.revision()
    }
}
