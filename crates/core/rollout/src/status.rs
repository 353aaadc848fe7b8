//! How a workload is doing, and why, in words for people.

use univrs_model::Timestamp;
use univrs_model::event::{EventKind, Severity};
use univrs_model::instance::{Desired, Instance, Phase};
use univrs_model::rollout::WorkloadStatus;
use univrs_model::workload::WorkloadKind;

use crate::judge::{Verdict, why_not};
use crate::runs::job_state;
use crate::service::done_slots;
use crate::work::Work;

/// How many instances are wanted and how many of them are as wanted.
struct Counts {
    wanted: usize,
    done: usize,
    ready: usize,
    serving: usize,
    outdated: usize,
    current: usize,
    begun: bool,
}

fn counts(work: &Work<'_>) -> Counts {
    let (all, done) = match work.spec.kind {
        WorkloadKind::Daemon => {
            (work.input.eligible_nodes.iter().filter(|node| !work.input.draining.contains(node)).count(), 0)
        }
        WorkloadKind::Service | WorkloadKind::Job | WorkloadKind::Cron => {
            (work.spec.replicas as usize, done_slots(work).len())
        }
    };
    let count = |is: &dyn Fn(&Instance) -> bool| work.live().filter(|i| is(i)).count();
    Counts {
        wanted: all.saturating_sub(done),
        done,
        ready: count(&|i| work.is_current(i) && work.is_available(i)),
        serving: count(&|i| work.is_current(i) && i.serves()),
        outdated: count(&|i| work.is_outdated(i)),
        current: count(&|i| work.is_current(i)),
        begun: work.instances.iter().any(|i| i.phase() > Phase::Assigned),
    }
}

/// Sets status and message of a service or daemon; settles the rollout when the target is reached.
pub(crate) fn of_service(work: &mut Work<'_>, verdict: &Verdict) {
    let counts = counts(work);
    let reached = counts.ready >= counts.wanted && counts.outdated == 0 && counts.current == counts.wanted;
    if reached && !work.rollout.settled {
        settle(work, counts.wanted > 0);
    }
    let (status, message) = if work.rollout.settled {
        settled_status(work, &counts)
    } else {
        changing_status(work, &counts, verdict)
    };
    work.rollout.status = status;
    work.rollout.message = message;
}

fn settle(work: &mut Work<'_>, proves: bool) {
    work.rollout.settled = true;
    let target = work.rollout.target;
    if proves && let Some(revision) = work.rollout.revisions.iter_mut().find(|r| r.number == target) {
        revision.proven = true;
    }
    match work.rollout.reverted_from {
        Some(failed) if work.rollout.status != WorkloadStatus::Progressing => {
            let message = format!("version {failed} failed and was taken back; version {target} runs");
            work.event(EventKind::RolloutReverted, Severity::Error, message);
        }
        _ => work.event(
            EventKind::RolloutCompleted,
            Severity::Info,
            format!("version {target} runs as wanted"),
        ),
    }
}

fn settled_status(work: &Work<'_>, counts: &Counts) -> (WorkloadStatus, String) {
    if counts.serving < counts.wanted {
        let why = reason(work).map_or_else(String::new, |why| format!(": {why}"));
        return (WorkloadStatus::Degraded, format!("{} of {} serve{why}", counts.serving, counts.wanted));
    }
    if counts.wanted == 0 && counts.done > 0 {
        let failed = work.instances.iter().any(|i| work.is_current(i) && i.phase() == Phase::Failed);
        let status = if failed { WorkloadStatus::Failed } else { WorkloadStatus::Completed };
        return (status, "ended, and is not restarted by its policy".to_owned());
    }
    match work.rollout.reverted_from {
        Some(failed) => {
            let why = after(&work.rollout.message, &format!("version {failed} failed"));
            let message = format!("version {failed} failed{why}; version {} runs", work.rollout.target);
            (WorkloadStatus::Reverted, message)
        }
        None if counts.wanted == 0 => (WorkloadStatus::Running, "scaled to 0".to_owned()),
        None => (WorkloadStatus::Running, String::new()),
    }
}

fn changing_status(work: &Work<'_>, counts: &Counts, verdict: &Verdict) -> (WorkloadStatus, String) {
    let target = work.rollout.target;
    let reverting = work.rollout.reverted_from;
    match (verdict, reverting) {
        (Verdict::Failed(message), _) => return (WorkloadStatus::Failed, message.clone()),
        (Verdict::Late(why), Some(failed)) => {
            let first = after(&work.rollout.message, &format!("version {failed} failed"));
            return (
                WorkloadStatus::Failed,
                format!("version {failed} failed{first}; going back to version {target}: {why}"),
            );
        }
        (Verdict::Late(why), None) => return (WorkloadStatus::Degraded, why.clone()),
        (Verdict::Fine, Some(failed)) if work.rollout.status != WorkloadStatus::Progressing => {
            let why = after(&work.rollout.message, &format!("version {failed} failed"));
            return (
                WorkloadStatus::Reverting,
                format!("version {failed} failed{why}; going back to version {target}"),
            );
        }
        (Verdict::Fine, _) => {}
    }
    if let Some(waits) = &work.waits {
        let status = if counts.begun { WorkloadStatus::Progressing } else { WorkloadStatus::Pending };
        return (status, waits.clone());
    }
    let why = reason(work).map_or_else(String::new, |why| format!(": {why}"));
    let message = format!("{} of {} ready{why}", counts.ready, counts.wanted);
    let status = if counts.begun { WorkloadStatus::Progressing } else { WorkloadStatus::Pending };
    (status, message)
}

/// The part of a message between `start` and the next `;`, so that the first cause survives later messages.
fn after<'a>(message: &'a str, start: &str) -> &'a str {
    let rest = message.strip_prefix(start).unwrap_or("");
    rest.split(';').next().unwrap_or("")
}

/// The first thing that keeps an instance from serving, for people.
fn reason(work: &Work<'_>) -> Option<String> {
    let waiting =
        work.live().filter(|i| work.is_current(i) && !i.serves()).map(why_not).find(|why| !why.is_empty());
    let ended = || {
        let last = work
            .instances
            .iter()
            .filter(|i| {
                i.assignment.workload_revision == work.rollout.target && i.assignment.desired == Desired::Run
            })
            .filter(|i| i.phase() == Phase::Failed)
            .max_by_key(|i| (i.assignment.created_at, i.assignment.id.clone()))?;
        let observation = last.observation.as_ref()?;
        let code = observation.exit_code.map_or_else(String::new, |code| format!(" with code {code}"));
        let message =
            if observation.message.is_empty() { String::new() } else { format!(": {}", observation.message) };
        Some(format!("{} ended{code}{message}", last.assignment.id))
    };
    waiting.or_else(ended)
}

/// Sets status and message of a job.
pub(crate) fn of_job(work: &mut Work<'_>) {
    let state = job_state(work);
    let wanted = work.spec.replicas as usize;
    let completed = state.completed.len();
    let live = work.live().count();
    let begun = work.instances.iter().any(|i| i.phase() > Phase::Assigned);
    let target = work.rollout.target;
    work.rollout.progress = u32::try_from(completed).unwrap_or(u32::MAX);
    let (status, message) = if completed >= wanted {
        (WorkloadStatus::Completed, format!("{completed} of {wanted} completed"))
    } else if let Some(why) = state.failure {
        (WorkloadStatus::Failed, format!("{completed} of {wanted} completed: {why}"))
    } else if let Some(waits) = work.waits.clone() {
        (WorkloadStatus::Pending, waits)
    } else {
        let why = reason(work).map_or_else(String::new, |why| format!(": {why}"));
        let status = if begun { WorkloadStatus::Progressing } else { WorkloadStatus::Pending };
        (status, format!("{completed} of {wanted} completed{why}"))
    };
    let over = match status {
        WorkloadStatus::Completed => true,
        WorkloadStatus::Failed => live == 0,
        _ => false,
    };
    if over && !work.rollout.settled {
        work.rollout.settled = true;
        if status == WorkloadStatus::Completed {
            if let Some(revision) = work.rollout.revisions.iter_mut().find(|r| r.number == target) {
                revision.proven = true;
            }
            work.event(EventKind::RolloutCompleted, Severity::Info, message.clone());
        } else {
            work.event(EventKind::RolloutFailed, Severity::Error, message.clone());
        }
    }
    work.rollout.status = status;
    work.rollout.message = message;
}

/// Sets status and message of a cron workload from when its next run is due.
pub(crate) fn of_cron(work: &mut Work<'_>, next: Result<Timestamp, String>) {
    work.rollout.settled = true;
    let last = work
        .instances
        .iter()
        .filter(|i| i.phase().is_terminal() && i.assignment.desired == Desired::Run)
        .max_by_key(|i| (i.assignment.created_at, i.assignment.id.clone()));
    let failed = last.filter(|i| i.phase() != Phase::Stopped).map(|i| {
        let code = i.observation.as_ref().and_then(|o| o.exit_code);
        code.map_or_else(
            || "the last run failed".to_owned(),
            |code| format!("the last run ended with code {code}"),
        )
    });
    let succeeded = last.filter(|i| i.phase() == Phase::Stopped).map(|i| i.assignment.workload_revision);
    if let Some(revision) = work.rollout.revisions.iter_mut().find(|r| Some(r.number) == succeeded) {
        revision.proven = true;
    }
    let waits = work.waits.as_ref().map_or_else(String::new, |waits| format!("; {waits}"));
    let (status, message) = match (next, failed) {
        (Err(why), _) => (WorkloadStatus::Failed, why),
        (Ok(next), Some(failed)) => {
            (WorkloadStatus::Degraded, format!("{failed}; the next is due at {next}{waits}"))
        }
        (Ok(next), None) => (WorkloadStatus::Running, format!("the next run is due at {next}{waits}")),
    };
    work.rollout.status = status;
    work.rollout.message = message;
}
