//! Keeps the sign of life of the last run while this one gets ready: the node is back, and what runs on it runs, long
//! before its agent has opened everything and registers anew. Else a slow start would give up its instances.

use std::sync::Arc;
use std::time::Duration;

use univrs_model::ids::NodeId;
use univrs_model::keys;
use univrs_ports::store::{Consistency, Error, Key, LeaseId, StateStore};

/// As often as agents say that they are alive.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is kept at most: a start that takes longer does not come to its end.
const MOST: usize = 90;

/// The lease that the sign of life hangs on now, if there is one.
pub(super) async fn lease(store: &dyn StateStore, node: &NodeId) -> Result<Option<LeaseId>, Error> {
    let alive = store.get(&Key::new(keys::node_alive(node))?, Consistency::LOCAL).await?;
    Ok(alive.and_then(|alive| alive.lease))
}

/// Keeps the last run's lease until the node has registered anew, which is with another one, or it is gone.
pub(super) async fn hold(store: Arc<dyn StateStore>, node: NodeId, last: LeaseId) {
    for _ in 0..MOST {
        match lease(&*store, &node).await {
            Ok(now) if now != Some(last) => return,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "cannot see the sign of life of the last run"),
        }
        if let Err(Error::LeaseNotFound { .. }) = store.lease_keep_alive(last).await {
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}
