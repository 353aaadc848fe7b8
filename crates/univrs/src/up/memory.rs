//! Gives memory that a burst of work left free back to the system.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// How long after the start: reading the state, checking policies and packing the program are over by then.
const FIRST: Duration = Duration::from_secs(5);
/// How often from then on.
const EVERY: Duration = Duration::from_secs(30);

/// Runs until it is dropped.
pub(super) async fn give_back() {
    let mut due = tokio::time::interval_at(tokio::time::Instant::now() + FIRST, EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        // It locks the heaps one after the other, so it stays off the threads that serve.
        if tokio::task::spawn_blocking(univrs_runtime::allocator::give_back).await.is_err() {
            return;
        }
    }
}
