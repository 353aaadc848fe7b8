//! What runtimes with real containers share in how they answer calls: one change at a time for each instance,
//! changes that are carried through, and errors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use univrs_model::ids::InstanceId;
use univrs_ports::runtime::{ContainerId, RuntimeError};

/// One change at a time to the containers of an instance.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<BTreeMap<InstanceId, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else changes the containers of `instance`.
    pub(crate) async fn take(&self, instance: &InstanceId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(instance.clone()).or_default())
        };
        lock.lock_owned().await
    }

    /// Forgets the lock of an instance that is gone, unless someone waits for it.
    pub(crate) fn end(&self, instance: &InstanceId, turn: OwnedMutexGuard<()>) {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One in the map, one in the guard.
        if locks.get(instance).is_some_and(|lock| Arc::strong_count(lock) <= 2) {
            locks.remove(instance);
        }
        drop(turn);
    }
}

/// For `map_err`: a failure in `step`.
pub(crate) fn failed<I: std::fmt::Display, E: std::fmt::Display>(
    id: &I,
    step: &'static str,
) -> impl FnOnce(E) -> RuntimeError + use<I, E> {
    let id = id.to_string();
    move |error| RuntimeError::Failed { id, step, reason: error.to_string() }
}

/// The container is at fault.
pub(crate) fn refused(id: &ContainerId, reason: String) -> RuntimeError {
    RuntimeError::Refused { id: id.to_string(), reason }
}

/// Runs what waits for the disk or the kernel where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(broken)
}

/// Carries a change through even when whoever asked for it gives up waiting.
pub(crate) async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, RuntimeError>> + Send + 'static,
) -> Result<T, RuntimeError> {
    tokio::spawn(work).await.unwrap_or_else(broken)
}

fn broken<T>(error: tokio::task::JoinError) -> Result<T, RuntimeError> {
    Err(failed(&"of this node", "finish a piece of work")(error))
}
