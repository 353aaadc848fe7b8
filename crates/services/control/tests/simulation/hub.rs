//! The replicated store as one model: the product's state machine, leases on virtual time, and the whole history.
//!
//! What a command does is [`Machine`]'s, which the real store wraps as well; replication is checked elsewhere
//! (`crates/adapters/store/tests/store/history`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use univrs_ports::store::{
    Command, Error, LeaseGrant, LeaseId, LeaseTable, Machine, Response, Result, Revision, WatchBatch,
};

use super::promises::Promises;

/// The store that all processes share.
#[derive(Clone)]
pub(crate) struct Hub {
    inner: Arc<Mutex<Inner>>,
    lease_bell: Arc<Notify>,
}

pub(crate) struct Inner {
    pub(crate) machine: Machine,
    /// Every change there was; the one of revision R at R - 1.
    log: Vec<WatchBatch>,
    /// Watches cannot begin before this.
    floor: Revision,
    leases: LeaseTable,
    watchers: Vec<Arc<Notify>>,
    pub(crate) promises: Promises,
}

impl Hub {
    pub(crate) fn new(promises: Promises) -> Self {
        let inner = Inner {
            machine: Machine::default(),
            log: Vec::new(),
            floor: Revision(0),
            leases: LeaseTable::default(),
            watchers: Vec::new(),
            promises,
        };
        Self { inner: Arc::new(Mutex::new(inner)), lease_bell: Arc::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a command, checks the promises and wakes who watches.
    pub(crate) fn apply(&self, command: Command) -> Response {
        let mut inner = self.lock();
        let (response, batch) = inner.machine.apply(command);
        if let Some(batch) = batch {
            let dense = batch.revision.0 == inner.log.len() as u64 + 1;
            inner.promises.committed(&batch, dense);
            inner.log.push(batch);
            inner.watchers.iter().for_each(|watcher| watcher.notify_one());
        }
        if let Response::Granted(grant) = response {
            inner.leases.keep_alive(Instant::now(), grant);
            drop(inner);
            self.lease_bell.notify_one();
        }
        response
    }

    pub(crate) fn keep_alive(&self, lease: LeaseId) -> Result<LeaseGrant> {
        self.lock().leases.renew(Instant::now(), lease).ok_or(Error::LeaseNotFound { lease })
    }

    /// The changes above `from`, and a bell for the next ones; or from where on they are kept.
    pub(crate) fn since(&self, from: Revision) -> std::result::Result<Vec<WatchBatch>, Revision> {
        let inner = self.lock();
        if from < inner.floor {
            return Err(inner.floor);
        }
        Ok(inner.log.get(usize::try_from(from.0).unwrap()..).unwrap_or_default().to_vec())
    }

    /// A bell that rings with each change.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        let mut inner = self.lock();
        // Those nobody listens to any more are let go of.
        inner.watchers.retain(|watcher| Arc::strong_count(watcher) > 1);
        inner.watchers.push(Arc::clone(&bell));
        bell
    }

    /// Forgets the history: who is behind must read everything anew.
    pub(crate) fn compact(&self) {
        let mut inner = self.lock();
        inner.floor = inner.machine.revision();
    }

    /// Another member leads the store now: it gives every lease its full lifetime.
    pub(crate) fn change_leader(&self) {
        let mut inner = self.lock();
        let leases: Vec<LeaseGrant> = inner.machine.leases().collect();
        inner.leases.reset(Instant::now(), leases.into_iter());
    }

    /// Ends leases that run out, for as long as it is polled.
    pub(crate) async fn end_leases(self) {
        loop {
            let next = self.lock().leases.next_deadline();
            match next {
                Some(at) => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(at) => {}
                    () = self.lease_bell.notified() => {}
                },
                None => self.lease_bell.notified().await,
            }
            let ended = self.lock().leases.take_expired(Instant::now());
            if !ended.is_empty() {
                self.apply(Command::ExpireLeases { leases: ended });
            }
        }
    }
}
