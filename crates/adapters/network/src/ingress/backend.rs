//! Instances as the ingress sees them: connections, load, and whether they failed lately.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::Lent;
use super::metrics::Gauge;
use super::options::IngressOptions;

/// How many answers in a row may fail before an instance is passed over; one failed connection is enough.
const FAILURES: u32 = 3;
/// How many unused connections to one instance are kept.
const IDLE_CONNECTIONS: usize = 256;

/// One instance's port. It has connections of its own, which close with it.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddrV4,
    /// The address as requests name it.
    pub(crate) authority: String,
    pub(crate) client: Client<HttpConnector, Lent>,
    in_flight: AtomicU64,
    failures: AtomicU32,
    /// Milliseconds after `born` until which it is passed over.
    passed_over_until: AtomicU64,
    born: Instant,
}

impl Gauge for Backend {
    fn gauge(&self) -> &AtomicU64 {
        &self.in_flight
    }
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection came about: nothing of the request was sent.
    Connect,
    /// The connection broke before an answer began.
    Broken,
}

impl Backend {
    pub(crate) fn new(address: SocketAddrV4, options: &IngressOptions) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(options.connect_timeout));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .set_host(false)
            .build(connector);
        Self {
            address,
            authority: address.to_string(),
            client,
            in_flight: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            passed_over_until: AtomicU64::new(0),
            born: Instant::now(),
        }
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_passed_over(&self) -> bool {
        self.passed_over_until.load(Ordering::Relaxed) > self.age()
    }

    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.passed_over_until.store(0, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, failure: Failure, ejection: Duration) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failure == Failure::Connect || failures >= FAILURES {
            let ejection = u64::try_from(ejection.as_millis()).unwrap_or(u64::MAX);
            self.passed_over_until.store(self.age().saturating_add(ejection), Ordering::Relaxed);
        }
    }
}

/// The instance with the fewest requests under way that was not `tried` and did not fail lately; among equals each
/// in turn. When all failed lately the least busy of them: a guess that all are down helps nobody.
pub(crate) fn choose(
    backends: &[Arc<Backend>],
    tried: &[Arc<Backend>],
    turn: &AtomicUsize,
) -> Option<Arc<Backend>> {
    let start = turn.fetch_add(1, Ordering::Relaxed) % backends.len().max(1);
    let (before, after) = backends.split_at(start);
    let untried = after.iter().chain(before).filter(|backend| tried.iter().all(|t| !Arc::ptr_eq(t, backend)));
    untried
        .min_by_key(|backend| (backend.is_passed_over(), backend.in_flight.load(Ordering::Relaxed)))
        .cloned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::{Backend, Failure, choose};
    use crate::ingress::IngressOptions;
    use crate::ingress::metrics::Counted;

    fn backends(count: u8) -> Vec<Arc<Backend>> {
        let backend = |last| {
            Arc::new(Backend::new(format!("10.0.0.{last}:80").parse().unwrap(), &IngressOptions::default()))
        };
        (1..=count).map(backend).collect()
    }

    #[tokio::test]
    async fn the_least_busy_is_chosen_and_equals_take_turns() {
        let (all, turn) = (backends(3), AtomicUsize::new(0));
        let pick = || choose(&all, &[], &turn).unwrap().address.ip().octets()[3];
        assert_eq!([pick(), pick(), pick(), pick()], [1, 2, 3, 1]);
        let _busy = [Counted::new(&all[0]), Counted::new(&all[1])];
        assert_eq!([pick(), pick(), pick()], [3, 3, 3]);
        assert!(choose(&[], &[], &turn).is_none());
        assert!(choose(&all[..1], &all[..1], &turn).is_none());
    }

    #[tokio::test]
    async fn the_failed_rest_while_others_can_serve() {
        let (all, turn) = (backends(2), AtomicUsize::new(0));
        let pick = || choose(&all, &[], &turn).unwrap().address.ip().octets()[3];
        all[0].failed(Failure::Connect, Duration::from_secs(60));
        assert_eq!([pick(), pick()], [2, 2]);
        for _ in 0..3 {
            all[1].failed(Failure::Broken, Duration::from_secs(60));
        }
        let mut both = [pick(), pick()];
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
        all[0].succeeded();
        assert_eq!([pick(), pick()], [1, 1]);
    }
}
