//! Whether an update has failed, and what follows.
//!
//! An update fails at once when an instance of the new version, made by this update,
//! - ended in phase `failed` after the update last moved,
//! - restarted [`MOST_RESTARTS`] times and does not serve, or
//! - fails its checks (the node says so only after `start_period` and `retries`),
//!
//! and at the latest when it has not moved for `deadline`. Then it goes back to the proven revision that ran
//! last. Where nothing is proven (a first deployment), it is tried on with growing waits; where the user wants no
//! automatic revert, nothing more is exchanged and what serves goes on serving. Either way the status says
//! failed until an instance gets ready after all.
//!
//! A version that once ran as wanted is never judged this way: what goes wrong then is the world's doing, and the
//! version is kept.

use univrs_model::Timestamp;
use univrs_model::event::{EventKind, Severity};
use univrs_model::instance::{Desired, Health, Instance, Phase};
use univrs_model::rollout::WorkloadStatus;
use univrs_model::span::Span;

use crate::backoff::ended_at;
use crate::revision::{effective_spec, revert};
use crate::work::{Work, later};

/// So many restarts of one instance within an update fail the update.
pub const MOST_RESTARTS: u32 = 3;

/// What is to be thought of the change to the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on, or is over.
    Fine,
    /// It did not finish in time, but its target is proven, so it goes on.
    Late(String),
    /// It has failed and its target stays.
    Failed(String),
}

/// Notes progress, judges, and aims at the proven revision when a failed update is to be taken back.
pub(crate) fn judge(work: &mut Work<'_>) -> Verdict {
    if work.rollout.settled {
        return Verdict::Fine;
    }
    let ready = ready_now(work);
    let had_failed = work.rollout.status == WorkloadStatus::Failed;
    let mut failed_before = had_failed;
    if ready > work.rollout.progress {
        work.rollout.progress = ready;
        work.rollout.progressed_at = work.now();
        failed_before = false;
    }
    let proven = work.rollout.revision(work.rollout.target).is_some_and(|target| target.proven);
    let overdue = overdue(work);
    if proven {
        return overdue.map_or(Verdict::Fine, Verdict::Late);
    }
    let broken = work.instances.iter().filter_map(|i| fault(work, i)).next();
    let reason = match broken.or(overdue) {
        Some(reason) => reason,
        None if failed_before => return Verdict::Failed(work.rollout.message.clone()),
        None => return Verdict::Fine,
    };
    let failed = work.rollout.target;
    let went_back = work
        .spec
        .update
        .auto_revert
        .then(|| revert(&mut work.rollout, work.input, &work.instances))
        .flatten();
    if let Some(proven) = went_back {
        work.spec = effective_spec(&mut work.rollout, &work.input.workload.spec);
        work.event(
            EventKind::RolloutFailed,
            Severity::Error,
            format!("version {failed} failed: {reason}; going back to version {proven}"),
        );
        work.rollout.message = format!("version {failed} failed: {reason}");
        work.rollout.progress = ready_now(work);
        return Verdict::Fine;
    }
    if failed_before {
        return Verdict::Failed(work.rollout.message.clone());
    }
    if !had_failed {
        work.event(EventKind::RolloutFailed, Severity::Error, format!("version {failed} failed: {reason}"));
    }
    Verdict::Failed(format!("version {failed} failed: {reason}"))
}

/// How many instances of the target have served long enough.
fn ready_now(work: &Work<'_>) -> u32 {
    let ready = work.live().filter(|i| work.is_current(i) && work.is_available(i)).count();
    u32::try_from(ready).unwrap_or(u32::MAX)
}

/// Why the update cannot succeed because of this instance, if so.
fn fault(work: &Work<'_>, instance: &Instance) -> Option<String> {
    let assignment = &instance.assignment;
    let of_this_update = assignment.workload_revision == work.rollout.target
        && assignment.created_at >= work.rollout.started_at
        && assignment.desired == Desired::Run;
    let observation = instance.observation.as_ref().filter(|_| of_this_update)?;
    let because = |what: String| match (observation.message.as_str(), observation.exit_code) {
        ("", None) => what,
        ("", Some(code)) => format!("{what} (exit code {code})"),
        (message, _) => format!("{what}: {message}"),
    };
    let id = &assignment.id;
    match instance.phase() {
        Phase::Failed if ended_at(instance) > work.rollout.progressed_at => {
            Some(because(format!("{id} ended")))
        }
        Phase::Running if !instance.reachable || work.is_available(instance) => None,
        Phase::Running if observation.health == Health::Failing => {
            Some(because(format!("{id} fails its checks")))
        }
        Phase::Running if observation.restarts >= MOST_RESTARTS => {
            Some(because(format!("{id} restarted {} times", observation.restarts)))
        }
        _ => None,
    }
}

/// When the change is too slow: the deadline counts from the last progress, and what the change must wait for
/// anyway (checks, the end of old instances) is added.
fn due(work: &Work<'_>) -> Timestamp {
    let update = &work.spec.update;
    let stopping = work.live().any(|i| i.phase() == Phase::Stopping);
    let grace = work.spec.containers().iter().map(|c| c.stop_grace).max().unwrap_or(Span::ZERO);
    let extra = if stopping { grace } else { Span::ZERO };
    later(later(later(work.rollout.progressed_at, update.deadline), update.min_healthy), extra)
}

/// Looks again when the change will be too slow.
pub(crate) fn wake_for_deadline(work: &mut Work<'_>) {
    if !work.rollout.settled {
        let due = due(work);
        work.wake(due);
    }
}

/// Why the change is too slow, if it is.
fn overdue(work: &Work<'_>) -> Option<String> {
    if due(work) > work.now() {
        return None;
    }
    let waiting = work
        .live()
        .filter(|i| work.is_current(i) && !work.is_available(i))
        .map(why_not)
        .find(|why| !why.is_empty());
    let deadline = work.spec.update.deadline;
    let progress =
        format!("no progress for {deadline} with {} of {} ready", work.rollout.progress, work.spec.replicas);
    Some(waiting.map_or(progress.clone(), |why| format!("{progress}: {why}")))
}

/// Why an instance does not serve yet, for people; empty when nothing is known.
pub(crate) fn why_not(instance: &Instance) -> String {
    let seen = instance.observation.as_ref().map_or("", |o| o.message.as_str());
    match (instance.phase(), seen) {
        (Phase::Pending, _) => instance.assignment.reason.clone(),
        (_, _) if !instance.reachable => "its node cannot be heard".to_owned(),
        (_, "") => String::new(),
        (_, message) => message.to_owned(),
    }
}
