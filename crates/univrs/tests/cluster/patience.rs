//! Waiting for what happens in its own time.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine, beside all other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks until what is seen is such, and answers it. `around` is what else to tell when it never is.
pub(crate) async fn until_seen<T: Debug>(
    what: &str,
    look: impl AsyncFn() -> T,
    test: impl Fn(&T) -> bool,
    around: impl Fn() -> String,
) -> T {
    let begun = Instant::now();
    loop {
        let seen = look().await;
        if test(&seen) {
            return seen;
        }
        let late = begun.elapsed() > PATIENCE;
        assert!(!late, "waited {PATIENCE:?} until {what}; last seen: {seen:?}{}", around());
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until `test` holds, and says how long that took. `around` is what else to tell when it never does.
pub(crate) async fn until(what: &str, test: impl AsyncFn() -> bool, around: impl Fn() -> String) -> Duration {
    let begun = Instant::now();
    while !test().await {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}{}", around());
        tokio::time::sleep(PAUSE).await;
    }
    begun.elapsed()
}
