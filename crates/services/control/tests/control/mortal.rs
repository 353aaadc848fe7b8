//! A store that a control node loses at a chosen write: as `kill -9` just before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;
use univrs_ports::store::{Result, StateStore, Txn};

use crate::fronted::{Front, Fronted};

/// How long the shared store lives for this node.
pub(crate) struct Mortal {
    left: AtomicU64,
    pub(crate) ended: Notify,
}

impl Mortal {
    /// A store that takes so many writes.
    pub(crate) fn after(store: &Arc<dyn StateStore>, writes: u64) -> Arc<Fronted<Self>> {
        let front = Self { left: writes.into(), ended: Notify::new() };
        Arc::new(Fronted { front, store: Arc::clone(store) })
    }
}

#[async_trait]
impl Front for Mortal {
    async fn before_txn(&self, _txn: &Txn) -> Result<()> {
        let less = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
            self.ended.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}
