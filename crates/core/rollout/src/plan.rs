//! The plan for one workload: each kind takes its own road between taking in a change and saying how it is.

use std::collections::BTreeSet;

use univrs_model::event::{EventKind, Severity};
use univrs_model::instance::{Assignment, Desired};
use univrs_model::rollout::WorkloadStatus;
use univrs_model::workload::{DependencyCondition, WorkloadKind};

use crate::daemon::daemons;
use crate::history::forgettable;
use crate::input::{Decision, RolloutInput};
use crate::judge::{Verdict, judge, wake_for_deadline};
use crate::revision::{effective_spec, take_in, trim};
use crate::runs::{cron, jobs};
use crate::service::{Held, services};
use crate::status;
use crate::work::Work;

/// What must change for one workload to be as its user wants it. Pure and level-triggered: with its own result
/// applied it changes nothing until something else happens or `wake_at` has come.
#[must_use]
pub fn plan(input: &RolloutInput) -> Decision {
    let (mut rollout, notes) = take_in(input);
    let spec = effective_spec(&mut rollout, &input.workload.spec);
    let index = input.instances.iter().enumerate().map(|(at, i)| (i.assignment.id.clone(), at)).collect();
    let mut work = Work {
        input,
        spec,
        rollout,
        instances: input.instances.clone(),
        index,
        create: Vec::new(),
        update: Vec::new(),
        events: Vec::new(),
        wake_at: None,
        waits: None,
        forget: BTreeSet::new(),
        ids_made: 0,
    };
    for (kind, severity, message) in notes {
        work.event(kind, severity, message);
    }
    if input.workload.deleting {
        end_all(&mut work);
    } else {
        advance(&mut work);
    }
    decide(work)
}

/// Moves a workload that is to stay.
fn advance(work: &mut Work<'_>) {
    let blocked = is_blocked(work);
    match work.spec.kind {
        WorkloadKind::Service | WorkloadKind::Daemon => {
            let verdict = if blocked { Verdict::Fine } else { judge(work) };
            let stays = !work.spec.update.auto_revert && matches!(verdict, Verdict::Failed(_));
            let held = Held { failed: stays, blocked };
            // A revert may have changed the target to a version of another kind.
            match work.spec.kind {
                WorkloadKind::Daemon => daemons(work, held),
                WorkloadKind::Service | WorkloadKind::Job | WorkloadKind::Cron => services(work, held),
            }
            forget(work);
            status::of_service(work, &verdict);
            work.wake_for_health();
            if !blocked {
                wake_for_deadline(work);
            }
        }
        WorkloadKind::Job => {
            jobs(work, blocked);
            forget(work);
            status::of_job(work);
        }
        WorkloadKind::Cron => {
            let next = cron(work, blocked);
            forget(work);
            status::of_cron(work, next);
        }
    }
}

/// Ends everything of a workload that is being deleted.
fn end_all(work: &mut Work<'_>) {
    let ids: Vec<_> = work
        .instances
        .iter()
        .filter(|i| i.assignment.desired == Desired::Run && !i.phase().is_terminal())
        .map(|i| i.assignment.id.clone())
        .collect();
    for id in ids {
        work.stop(&id, "its workload is being deleted");
    }
    let left = work.instances.iter().filter(|i| !i.phase().is_terminal()).count();
    work.rollout.status = WorkloadStatus::Progressing;
    work.rollout.message = format!("being deleted, {left} instances left");
    work.rollout.settled = false;
    forget(work);
}

/// Takes out the instances whose record can go, so that what is said about the workload does not rest on them.
fn forget(work: &mut Work<'_>) {
    let ids: BTreeSet<_> = forgettable(work).into_iter().collect();
    work.instances.retain(|i| !ids.contains(&i.assignment.id));
    work.index = work.instances.iter().enumerate().map(|(at, i)| (i.assignment.id.clone(), at)).collect();
    work.forget = ids;
}

/// Whether a start must wait for another workload or a secret. Only what has nothing running yet, or is changing, waits: a
/// dependency that stumbles later does not keep a running workload from being mended.
fn is_blocked(work: &mut Work<'_>) -> bool {
    let cold = !work.rollout.settled || !work.live().any(Work::serves);
    if !cold {
        return false;
    }
    let spec = std::sync::Arc::clone(&work.spec);
    for dependency in &spec.depends_on {
        let name = &dependency.workload;
        let state = work.input.dependencies.get(name).copied().unwrap_or_default();
        let (met, what) = match dependency.condition {
            DependencyCondition::Started => (state.started || state.completed, "started"),
            DependencyCondition::Healthy => (state.healthy, "healthy"),
            DependencyCondition::Completed => (state.completed, "completed"),
        };
        if !(state.exists && met) {
            work.waits = Some(if state.exists {
                format!("waiting for {name} to be {what}")
            } else {
                format!("waiting for {name}, which does not exist")
            });
            return true;
        }
    }
    if let Some(uses) = spec.secrets.iter().find(|uses| !work.input.secrets.contains_key(&uses.name)) {
        let name = &uses.name;
        let wait = format!("waiting for secret {name}, which does not exist: `univrs secret set {name}`");
        if !work.rollout.message.contains(&wait) {
            work.event(EventKind::WorkloadWaiting, Severity::Warning, wait.clone());
        }
        work.waits = Some(wait);
        return true;
    }
    // The deadline counts from when the wait was over.
    if work.rollout.message.starts_with("waiting for ") && !work.rollout.settled {
        work.rollout.progressed_at = work.now();
    }
    false
}

/// Puts the decision together from the working state.
fn decide(mut work: Work<'_>) -> Decision {
    let remove_workload = work.input.workload.deleting && work.instances.is_empty();
    if remove_workload {
        work.event(EventKind::WorkloadRemoved, Severity::Info, "removed with all its instances");
    }
    let left = |ids: &[_]| -> Vec<Assignment> {
        ids.iter().filter_map(|id| Some(work.instances[*work.index.get(id)?].assignment.clone())).collect()
    };
    let create = left(&work.create);
    let update = left(&work.update);
    let running: BTreeSet<u64> = work
        .instances
        .iter()
        .filter(|i| !i.phase().is_terminal())
        .map(|i| i.assignment.workload_revision)
        .collect();
    trim(&mut work.rollout, &running);
    Decision {
        rollout: work.rollout,
        create,
        update,
        forget: work.forget.into_iter().collect(),
        remove_workload,
        events: work.events,
        wake_at: work.wake_at,
    }
}
