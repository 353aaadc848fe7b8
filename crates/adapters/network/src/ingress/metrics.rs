//! What the ingress counts, for the metrics face.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The counters of one workload.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) in_flight: AtomicU64,
}

/// The counters of one workload at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadSnapshot {
    /// The workload.
    pub workload: String,
    /// Requests that had a route to it.
    pub requests: u64,
    /// Times a request was tried again on another instance.
    pub retries: u64,
    /// Requests that the ingress itself had to refuse: no instance, no connection, no answer.
    pub errors: u64,
    /// Requests and upgraded connections under way.
    pub in_flight: u64,
}

/// The counters of an ingress.
#[derive(Debug, Default)]
pub struct IngressMetrics {
    workloads: Mutex<BTreeMap<String, Arc<Counters>>>,
    pub(crate) unrouted: AtomicU64,
    pub(crate) connections: AtomicU64,
}

impl IngressMetrics {
    /// All workloads that have a route now, or still have requests under way.
    pub fn workloads(&self) -> Vec<WorkloadSnapshot> {
        let read = |(workload, counters): (&String, &Arc<Counters>)| WorkloadSnapshot {
            workload: workload.clone(),
            requests: counters.requests.load(Ordering::Relaxed),
            retries: counters.retries.load(Ordering::Relaxed),
            errors: counters.errors.load(Ordering::Relaxed),
            in_flight: counters.in_flight.load(Ordering::Relaxed),
        };
        self.lock().iter().map(read).collect()
    }

    /// Requests that no route matched.
    pub fn unrouted(&self) -> u64 {
        self.unrouted.load(Ordering::Relaxed)
    }

    /// Open connections of clients.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn of(&self, workload: &str) -> Arc<Counters> {
        Arc::clone(self.lock().entry(workload.to_owned()).or_default())
    }

    /// Forgets workloads that are neither routed nor busy.
    pub(crate) fn keep(&self, routed: impl Fn(&str) -> bool) {
        self.lock()
            .retain(|workload, counters| routed(workload) || counters.in_flight.load(Ordering::Relaxed) > 0);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Counters>>> {
        self.workloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one up for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted<T: Gauge>(Arc<T>);

/// Something that knows how much is under way.
pub(crate) trait Gauge {
    fn gauge(&self) -> &AtomicU64;
}

impl Gauge for Counters {
    fn gauge(&self) -> &AtomicU64 {
        &self.in_flight
    }
}

impl Gauge for IngressMetrics {
    fn gauge(&self) -> &AtomicU64 {
        &self.connections
    }
}

impl<T: Gauge> Counted<T> {
    pub(crate) fn new(counted: &Arc<T>) -> Self {
        counted.gauge().fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counted))
    }
}

impl<T: Gauge> Drop for Counted<T> {
    fn drop(&mut self) {
        self.0.gauge().fetch_sub(1, Ordering::Relaxed);
    }
}
