//! How a store says that it can do nothing any more.

use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;

use crate::store::RaftStore;

impl RaftStore {
    /// Waits until the store can do nothing any more: its disk failed, or it found a fault in itself. Answers why, and
    /// never for a store that was closed. What was acknowledged is safe; a process that opens the store anew reads it.
    pub async fn broken(&self) -> String {
        let mut metrics = self.core.raft.server_metrics();
        // They end with the task that shows them.
        while metrics.changed().await.is_ok() {
            metrics.borrow_and_update();
        }
        let ended = self.core.raft.metrics().borrow_watched().running_state.clone();
        match ended {
            Err(Fatal::Stopped) => std::future::pending().await,
            Err(fatal) => fatal.to_string(),
            Ok(()) => Fatal::<crate::types::Types>::Panicked.to_string(),
        }
    }
}
