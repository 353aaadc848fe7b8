//! A store with something in front of its reads and writes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWrite;
use univrs_ports::store::{
    Consistency, Key, LeaseGrant, LeaseId, Page, Prefix, RangeOut, Result, Revision, SnapshotMeta,
    StateStore, StoredValue, Txn, TxnOutcome, WatchStream,
};

/// What stands in front of a store.
#[async_trait]
pub(crate) trait Front: Send + Sync + 'static {
    /// Happens before a page is read.
    async fn before_range(&self, _store: &dyn StateStore) {}

    /// Happens before a write. An error is answered in place of the write, which is then not done.
    async fn before_txn(&self, _txn: &Txn) -> Result<()> {
        Ok(())
    }
}

/// The store behind it.
pub(crate) struct Fronted<F> {
    pub(crate) front: F,
    pub(crate) store: Arc<dyn StateStore>,
}

#[async_trait]
impl<F: Front> StateStore for Fronted<F> {
    async fn get(&self, key: &Key, consistency: Consistency) -> Result<Option<StoredValue>> {
        self.store.get(key, consistency).await
    }

    async fn range(&self, prefix: &Prefix, page: Page, consistency: Consistency) -> Result<RangeOut> {
        self.front.before_range(&*self.store).await;
        self.store.range(prefix, page, consistency).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome> {
        self.front.before_txn(&txn).await?;
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
