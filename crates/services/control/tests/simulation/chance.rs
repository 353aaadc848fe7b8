//! The one source of chance of a run, and its clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;
use univrs_model::Timestamp;
use univrs_ports::clock::Clock;

/// Chance of a run: the same seed, the same draws.
#[derive(Clone)]
pub(crate) struct Chance(Arc<Mutex<StdRng>>);

impl Chance {
    pub(crate) fn of(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn below(&self, end: u64) -> u64 {
        self.draw(|rng| rng.random_range(0..end))
    }

    /// Whether something happens that happens so often in a hundred times.
    pub(crate) fn percent(&self, often: u64) -> bool {
        self.below(100) < often
    }

    pub(crate) fn millis(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.draw(|rng| rng.random_range(range)))
    }
}

/// The clock of one machine: virtual time, and so far off.
pub(crate) struct SkewedClock {
    began: Instant,
    skew_millis: AtomicI64,
}

/// What every clock shows at the beginning, but for its skew.
pub(crate) fn dawn() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

impl SkewedClock {
    pub(crate) fn new(began: Instant, skew_millis: i64) -> Arc<Self> {
        Arc::new(Self { began, skew_millis: skew_millis.into() })
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap();
        dawn() + passed + SignedDuration::from_millis(self.skew_millis.load(Ordering::SeqCst))
    }
}
