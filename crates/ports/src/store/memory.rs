//! The store in one process: a fake for tests of everything above the store.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::command::{Command, Response};
use super::error::{Error, Result};
use super::lease::LeaseTable;
use super::replica::{Replica, WatchStream};
use super::txn::{Txn, TxnOutcome};
use super::types::{
    Consistency, Key, LeaseGrant, LeaseId, Limits, Page, Prefix, RangeOut, Revision, SnapshotMeta,
    StoredValue,
};
use super::{StateStore, check_ttl};

/// How long a read waits for the revision it asks for.
const WAIT: Duration = Duration::from_secs(5);

/// A store without disk and network that behaves like the real one otherwise. Clones share the state.
///
/// Leases run on the clock of tokio, so tests may pause it. Needs a running tokio runtime for leases.
#[derive(Clone)]
pub struct MemoryStore {
    replica: Replica<()>,
    leases: Arc<Mutex<LeaseTable>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_history(16 << 20)
    }

    /// An empty store that keeps about `history_bytes` of changes for watchers.
    pub fn with_history(history_bytes: usize) -> Self {
        Self { replica: Replica::new((), history_bytes), leases: Arc::default() }
    }

    fn apply(&self, command: Command) -> Result<Response> {
        let response = self.replica.apply([command], |()| {}).pop();
        response.ok_or(Error::Closed)
    }

    fn table(&self) -> std::sync::MutexGuard<'_, LeaseTable> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until the lease was not renewed for its lifetime, then ends it.
    fn watch_over(&self, grant: LeaseGrant) {
        let store = self.clone();
        tokio::spawn(async move {
            loop {
                let Some(deadline) = store.table().next_deadline() else { return };
                tokio::time::sleep_until(deadline).await;
                let expired = store.table().take_expired(Instant::now());
                if !expired.is_empty() {
                    let _applied = store.apply(Command::ExpireLeases { leases: expired });
                }
                if store.replica.read(|machine, ()| machine.lease(grant.id)).is_none() {
                    return;
                }
            }
        });
    }

    async fn settle(&self, consistency: Consistency) -> Result<()> {
        match consistency {
            Consistency::Local { min_revision: Some(revision) } => {
                self.replica.wait_for(revision, WAIT).await
            }
            Consistency::Local { min_revision: None } | Consistency::Linearizable => Ok(()),
        }
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn get(&self, key: &Key, consistency: Consistency) -> Result<Option<StoredValue>> {
        self.settle(consistency).await?;
        Ok(self.replica.get(key))
    }

    async fn range(&self, prefix: &Prefix, page: Page, consistency: Consistency) -> Result<RangeOut> {
        self.settle(consistency).await?;
        Ok(self.replica.range(prefix, &page))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome> {
        txn.validate(&Limits::DEFAULT)?;
        self.apply(Command::Txn(txn))?.into_txn()
    }

    async fn watch(&self, prefix: &Prefix, from: Revision) -> Result<WatchStream> {
        self.replica.watch(prefix, from)
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseGrant> {
        check_ttl(ttl)?;
        let grant = self.apply(Command::GrantLease { ttl })?.into_grant()?;
        self.table().keep_alive(Instant::now(), grant);
        self.watch_over(grant);
        Ok(grant)
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<LeaseGrant> {
        self.table().renew(Instant::now(), lease).ok_or(Error::LeaseNotFound { lease })
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        self.table().remove(lease);
        self.apply(Command::RevokeLease { lease })?.into_revoked()
    }

    /// Writes lines for people: key, revision and length. Not meant to be restored from.
    async fn snapshot(&self, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<SnapshotMeta> {
        let (machine, ()) = self.replica.view();
        let mut bytes = 0;
        for item in machine.range(&Prefix::all(), &Page::all()).items {
            let line = format!("{} {} {}\n", item.key, item.value.mod_revision, item.value.value.len());
            bytes += line.len() as u64;
            writer.write_all(line.as_bytes()).await.map_err(|source| Error::SnapshotWrite { source })?;
        }
        writer.flush().await.map_err(|source| Error::SnapshotWrite { source })?;
        Ok(SnapshotMeta { revision: machine.revision(), keys: machine.len() as u64, bytes })
    }

    fn revision(&self) -> Revision {
        self.replica.revision()
    }
}
