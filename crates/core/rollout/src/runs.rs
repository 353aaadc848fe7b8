//! Work that ends: jobs, and cron workloads, which are jobs at times.
//!
//! A job ends when `replicas` slots have ended with success. Containers are restarted on their node (see
//! [`crate::life`]); an instance that ended with an exit code is final. One that failed for another reason (its
//! image, its node) is tried again elsewhere, at most [`MOST_ATTEMPTS`] times.
//!
//! A cron workload makes its instances when a run is due. Runs that were missed while nobody planned are made up
//! for once. A run whose node is lost is not repeated; the next one comes when it is due.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use univrs_model::Timestamp;
use univrs_model::event::{EventKind, Severity};
use univrs_model::ids::InstanceId;
use univrs_model::instance::{Desired, Instance, Phase};
use univrs_model::workload::{Overlap, RestartWhen};

use crate::backoff::retry_at;
use crate::cron::Schedule;
use crate::work::Work;

/// How often a slot of a job is tried when its instances fail without an exit code.
const MOST_ATTEMPTS: usize = 3;
/// How many missed runs are counted one by one.
const MOST_COUNTED: usize = 2000;

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobState {
    /// Slots that ended with success.
    pub(crate) completed: BTreeSet<u32>,
    /// Why it cannot end with success any more, if so.
    pub(crate) failure: Option<String>,
}

/// Reads a job's state off its instances.
pub(crate) fn job_state(work: &Work<'_>) -> JobState {
    let mut state = JobState::default();
    let mut vain: BTreeMap<u32, usize> = BTreeMap::new();
    for instance in work.instances.iter().filter(|i| i.assignment.workload_revision == work.rollout.target) {
        let assignment = &instance.assignment;
        match (instance.phase(), assignment.desired) {
            (Phase::Stopped, Desired::Run) => {
                state.completed.insert(assignment.slot);
            }
            (Phase::Failed, Desired::Run) => {
                let observation = instance.observation.as_ref();
                let code = observation.and_then(|o| o.exit_code);
                let message = observation.map_or("", |o| o.message.as_str());
                let attempts = vain.entry(assignment.slot).or_default();
                *attempts += 1;
                let last = *attempts >= MOST_ATTEMPTS || work.spec.restart.policy == RestartWhen::Never;
                let why = match code {
                    Some(code) => format!("{} ended with code {code}", assignment.id),
                    None => format!("{} failed", assignment.id),
                };
                if code.is_some() || last {
                    state.failure = Some(if message.is_empty() { why } else { format!("{why}: {message}") });
                }
            }
            _ => {}
        }
    }
    state.completed.iter().for_each(|slot| {
        vain.remove(slot);
    });
    state
}

/// Makes the instances that a job still needs.
pub(crate) fn jobs(work: &mut Work<'_>, blocked: bool) {
    let state = job_state(work);
    let wanted = (work.spec.replicas as usize).saturating_sub(state.completed.len());
    let mut ends: Vec<(InstanceId, &str)> = Vec::new();
    for instance in work.live().filter(|i| work.is_outdated(i)) {
        let reason = if work.is_draining(instance) {
            "its node is being drained"
        } else {
            "replaced by another version"
        };
        ends.push((instance.assignment.id.clone(), reason));
    }
    let mut current: Vec<_> = work.live().filter(|i| work.is_current(i)).collect();
    current.sort_by_key(|i| (i.phase(), std::cmp::Reverse(i.assignment.slot)));
    let surplus = current.len().saturating_sub(wanted);
    ends.extend(current.iter().take(surplus).map(|i| (i.assignment.id.clone(), "no longer needed")));
    let current_count = current.len() - surplus;
    for (id, reason) in ends {
        work.stop(&id, reason);
    }
    let others = work.live().any(|i| !work.is_current(i));
    if state.failure.is_some() || blocked || others {
        return;
    }
    let taken: BTreeSet<u32> =
        work.live().map(|i| i.assignment.slot).chain(state.completed.iter().copied()).collect();
    let mut makes = Vec::new();
    let mut waits = Vec::new();
    for slot in Work::free_slots(taken).take(wanted - current_count.min(wanted)) {
        let broken: Vec<&Instance> = work
            .instances
            .iter()
            .filter(|i| i.assignment.slot == slot && i.assignment.workload_revision == work.rollout.target)
            .filter(|i| i.phase() == Phase::Failed)
            .collect();
        match retry_at(&work.spec.restart, &broken, work.now()).filter(|at| *at > work.now()) {
            Some(at) => waits.push(at),
            None => makes.push(slot),
        }
    }
    for at in waits {
        work.wake(at);
    }
    for slot in makes {
        work.make(slot, None, "waiting to be placed");
    }
}

/// Makes the run that is due, if one is. Answers when the next one is.
pub(crate) fn cron(work: &mut Work<'_>, blocked: bool) -> Result<Timestamp, String> {
    let drained: Vec<InstanceId> = work
        .live()
        .filter(|i| i.assignment.desired == Desired::Run && work.is_draining(i))
        .map(|i| i.assignment.id.clone())
        .collect();
    for id in drained {
        work.stop(&id, "its node is being drained");
    }
    let Some(spec) = work.spec.schedule.clone() else { return Err("it has no schedule".to_owned()) };
    let schedule = Schedule::of(&spec).map_err(|fault| fault.to_string())?;
    let since =
        work.rollout.last_run.map_or(work.rollout.started_at, |last| last.max(work.rollout.started_at));
    let (due, missed, next) = due(&schedule, since, work.now());
    let next = next.ok_or_else(|| "its schedule names no time to come".to_owned())?;
    work.wake(next);
    let Some(due) = due else { return Ok(next) };
    if work.spec.replicas == 0 {
        work.rollout.last_run = Some(due);
        return Ok(next);
    }
    if missed > 0 && work.rollout.last_run.is_some_and(|last| last < due) && !blocked {
        let plural = if missed == 1 { "run was" } else { "runs were" };
        work.event(
            EventKind::RunSkipped,
            Severity::Warning,
            format!("{missed} {plural} missed and made up for by one"),
        );
    }
    let busy = work.live().count() > 0;
    match spec.overlap {
        Overlap::Forbid if busy => {
            work.rollout.last_run = Some(due);
            work.event(
                EventKind::RunSkipped,
                Severity::Warning,
                format!("the run due at {due} was skipped: the one before has not ended"),
            );
            return Ok(next);
        }
        Overlap::Replace if busy => {
            let ids: Vec<InstanceId> = work.live().map(|i| i.assignment.id.clone()).collect();
            for id in ids {
                work.stop(&id, "replaced by the next run");
            }
            if work.live().count() > 0 {
                return Ok(next);
            }
        }
        Overlap::Allow | Overlap::Forbid | Overlap::Replace => {}
    }
    if blocked {
        return Ok(next);
    }
    let taken: BTreeSet<u32> = work.live().map(|i| i.assignment.slot).collect();
    for slot in Work::free_slots(taken).take(work.spec.replicas as usize) {
        work.make(slot, None, "waiting to be placed");
    }
    work.rollout.last_run = Some(due);
    work.event(EventKind::RunScheduled, Severity::Info, format!("the run due at {due} begins"));
    Ok(next)
}

/// The latest due time in `(since, now]`, how many before it were missed, and the first one after `now`.
fn due(
    schedule: &Schedule,
    since: Timestamp,
    now: Timestamp,
) -> (Option<Timestamp>, usize, Option<Timestamp>) {
    let mut last = None;
    let mut missed = 0;
    let mut cursor = since;
    loop {
        let Some(next) = schedule.next_after(cursor) else { return (last, missed, None) };
        if next > now {
            return (last, missed, Some(next));
        }
        missed += usize::from(last.is_some());
        last = Some(next);
        cursor = next;
        if missed == MOST_COUNTED {
            // So many were missed that it runs often: the last day holds the latest one.
            cursor = cursor.max(now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(cursor));
        }
    }
}
