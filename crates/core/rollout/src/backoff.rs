//! When a slot may be tried again after its instance failed.
//!
//! The wait is read off the two last failures of the slot, so nothing has to be counted: the first replacement
//! is immediate, the next waits `initial`, and each later one waits twice as long as the one before, at most
//! `max`. An instance that ran for long enough starts the series anew.

use univrs_model::Timestamp;
use univrs_model::instance::{Desired, Instance, Phase};
use univrs_model::span::Span;
use univrs_model::workload::RestartPolicy;

use crate::work::{later, over};

/// An instance that ran this long (or `restart.max`, if longer) before it failed starts the waits anew.
pub const RESET_AFTER: Span = Span::seconds(600);

/// When an instance ended, as far as is known.
pub(crate) fn ended_at(instance: &Instance) -> Timestamp {
    let observation = instance.observation.as_ref();
    observation.and_then(|o| o.ended_at.or(o.started_at)).unwrap_or(instance.assignment.created_at)
}

/// Whether an instance ended by itself in a way that calls for a replacement.
pub(crate) fn broke(instance: &Instance) -> bool {
    matches!(instance.phase(), Phase::Failed | Phase::Stopped) && instance.assignment.desired == Desired::Run
}

/// When the next instance may be made after `broken` failures of one slot and revision, in any order.
/// Nothing when at once.
pub(crate) fn retry_at(policy: &RestartPolicy, broken: &[&Instance], now: Timestamp) -> Option<Timestamp> {
    let mut newest: Vec<&&Instance> = broken.iter().collect();
    newest.sort_by_key(|i| std::cmp::Reverse((i.assignment.created_at, ended_at(i))));
    let (last, before) = (newest.first()?, newest.get(1)?);
    let ended = ended_at(last);
    let reset = RESET_AFTER.max(policy.max);
    let started = last.observation.as_ref().and_then(|o| o.started_at);
    if started.is_some_and(|started| later(started, reset) <= ended) {
        return None;
    }
    let waited = last.assignment.created_at.duration_since(ended_at(before)).as_millis();
    let waited = Span::millis(u64::try_from(waited).unwrap_or(0));
    let wait = if waited < policy.initial {
        policy.initial
    } else {
        Span::millis(waited.as_millis().saturating_mul(2))
    };
    Some(over(ended, wait.min(policy.max.max(policy.initial)), now))
}
