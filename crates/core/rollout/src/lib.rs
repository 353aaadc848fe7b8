//! What must change for a workload to be as its user wants it, and what one instance does next on its node.
//!
//! Two pure functions, both level-triggered: called again with their own result applied, they change nothing.
//!
//! - [`plan()`] looks at one workload as a whole: it makes revisions, rolls updates out, takes failed ones back,
//!   replaces what broke, runs jobs and schedules, and says how the workload is doing.
//! - [`life::next`] looks at one instance on its node: what to prepare, start, probe, restart and end.
//!
//! Time is a parameter and new ids come from a seed, so every decision can be replayed.
//!
//! Invariants, each with a property test:
//! - ROL-1: an update never lowers the number of serving instances below `replicas - max_unavailable`.
//! - ROL-2: an update never has more than `replicas + max_surge` instances that are not ended.
//! - ROL-3: a singleton never has two instances that are not ended.
//! - ROL-4: a failed update that may be taken back ends on the proven revision that ran last.
//! - ROL-5: planning again with the plan applied changes nothing.
//! - LIF-1: the phase of an instance only moves forward, and ends.

mod backoff;
pub mod cron;
pub mod cycle;
mod daemon;
mod history;
mod input;
mod judge;
pub mod life;
pub mod loss;
mod make;
mod plan;
mod revision;
mod runs;
mod service;
mod status;
mod work;

pub use backoff::RESET_AFTER;
pub use cron::{check_schedule, next_runs};
pub use cycle::find_cycle;
pub use input::{Decision, DependencyState, RolloutInput};
pub use judge::MOST_RESTARTS;
pub use loss::{Alone, Loss, judge_alone, judge_loss};
pub use plan::plan;
