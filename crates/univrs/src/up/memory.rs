//! Gives memory that a burst of work left free back to the system.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// How long after the start: reading the state, checking policies and packing the program are over by then.
const FIRST: Duration = Duration::from_secs(5);
/// How often from then on.
const EVERY: Duration = Duration::from_secs(30);

/// Of so many times, one is for the program's code too: ten minutes between them, as running it maps it again.
const CODE: u32 = 20;

/// Runs until it is dropped.
pub(super) async fn give_back() {
    let mut due = tokio::time::interval_at(tokio::time::Instant::now() + FIRST, EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0_u32.. {
        due.tick().await;
        // It locks the heaps one after the other, so it stays off the threads that serve.
        let done = tokio::task::spawn_blocking(move || {
            univrs_runtime::allocator::give_back();
            if round.is_multiple_of(CODE) {
                univrs_runtime::allocator::forget_code();
            }
        });
        if done.await.is_err() {
            return;
        }
    }
}
