//! Keeps the sign of life of the last run while this one gets ready: the node is back, and what runs on it runs, long
//! before its agent has opened everything and registers anew. Else a slow start would give up its instances.

use std::sync::Arc;
use std::time::Duration;

use univrs_model::ids::NodeId;
use univrs_model::keys;
use univrs_ports::store::{Consistency, Error, Key, LeaseId, StateStore};

/// As often as agents say that they are alive.
const EVERY: Duration = Duration::from_secs(1);

/// Runs until the node has registered anew, or the sign of life is gone.
pub(super) async fn hold(store: Arc<dyn StateStore>, node: NodeId) {
    let Ok(at) = Key::new(keys::node_alive(&node)) else { return };
    let mut held: Option<LeaseId> = None;
    loop {
        match store.get(&at, Consistency::LOCAL).await {
            Ok(Some(alive)) => match (alive.lease, held) {
                (None, _) => return,
                (Some(lease), Some(held)) if lease != held => return,
                (Some(lease), _) => held = Some(lease),
            },
            Ok(None) => return,
            Err(error) => tracing::debug!(%error, "cannot see the sign of life of the last run"),
        }
        if let Some(lease) = held
            && let Err(Error::LeaseNotFound { .. }) = store.lease_keep_alive(lease).await
        {
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}
