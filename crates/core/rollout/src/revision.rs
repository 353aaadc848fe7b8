//! Versions of a workload: when a change makes a new one, when it goes back to a kept one, which are kept.
//!
//! - A change that needs new instances makes a revision with the next number.
//! - Any other change (scale, priority, update policy, ingress, labels, schedule) is taken into the target.
//! - A rollback targets the kept revision itself, under its own number: what already runs of it stays. Scale and
//!   update policy remain the user's present ones.
//! - A secret with `on_change = restart` that gets another value makes a revision of the same spec. Every revision
//!   names the values its instances start with, so that a revert brings back those that were proven.
//! - After an automatic revert the target stays the proven revision until the user changes what is run, or
//!   applies the failed document once more unchanged, which tries it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use univrs_model::event::{EventKind, Severity};
use univrs_model::instance::Instance;
use univrs_model::name::Name;
use univrs_model::rollout::{KEPT_REVISIONS, Rollout, WorkloadRevision, WorkloadStatus};
use univrs_model::workload::{OnChange, SecretUse, WorkloadKind, WorkloadSpec};

use crate::input::RolloutInput;

/// Something that happened while a change was taken in.
pub(crate) type Note = (EventKind, Severity, String);

/// The rollout with the workload's present generation taken in.
pub(crate) fn take_in(input: &RolloutInput) -> (Rollout, Vec<Note>) {
    let workload = &input.workload;
    let mut notes = Vec::new();
    let Some(known) = &input.rollout else {
        let mut rollout = Rollout {
            generation: workload.generation,
            revisions: Vec::new(),
            last_revision: 0,
            target: 0,
            reverted_from: None,
            status: WorkloadStatus::Pending,
            message: String::new(),
            started_at: input.now,
            progressed_at: input.now,
            progress: 0,
            settled: false,
            last_run: None,
            secrets: BTreeMap::new(),
        };
        add(&mut rollout, input);
        notes.push(started(&rollout));
        take_in_secrets(&mut rollout, input, &mut notes);
        return (rollout, notes);
    };
    let mut rollout = known.clone();
    if rollout.generation != workload.generation {
        rollout.generation = workload.generation;
        change(&mut rollout, input, &mut notes);
    }
    take_in_secrets(&mut rollout, input, &mut notes);
    (rollout, notes)
}

/// Notes the values of secrets, and makes a revision when one that was known has changed.
fn take_in_secrets(rollout: &mut Rollout, input: &RolloutInput, notes: &mut Vec<Note>) {
    let number = rollout.target;
    let Some(target) = rollout.revisions.iter_mut().find(|revision| revision.number == number) else {
        return;
    };
    // Work that ends is not done again for it: the next run starts with the newest value.
    let stays = matches!(target.spec.kind, WorkloadKind::Service | WorkloadKind::Daemon);
    let restart = |uses: &SecretUse| uses.on_change == OnChange::Restart;
    let mut changed = Vec::new();
    for name in target.spec.secrets.iter().filter(|uses| restart(uses)).map(|uses| &uses.name) {
        let Some(newest) = input.secrets.get(name) else { continue };
        match rollout.secrets.insert(name.clone(), newest.clone()) {
            Some(known) if known != *newest && stays => changed.push(name.clone()),
            Some(known) if known != *newest => drop(target.secrets.insert(name.clone(), newest.clone())),
            Some(_) | None => {
                target.secrets.entry(name.clone()).or_insert_with(|| newest.clone());
            }
        }
    }
    // What is used no more is forgotten, so that using it again is a beginning and not a change.
    let spec = Arc::clone(&target.spec);
    rollout.secrets.retain(|name, _| spec.secrets.iter().any(|uses| restart(uses) && uses.name == *name));
    if changed.is_empty() {
        return;
    }
    add_revision(rollout, input, spec);
    let names: Vec<&str> = changed.iter().map(Name::as_str).collect();
    notes.push((
        EventKind::RolloutStarted,
        Severity::Info,
        format!("rolling out version {} with a new value of {}", rollout.target, names.join(", ")),
    ));
}

fn change(rollout: &mut Rollout, input: &RolloutInput, notes: &mut Vec<Note>) {
    let wanted = &input.workload.spec;
    if let Some(number) = input.workload.roll_back_to {
        if rollout.revision(number).is_some() {
            if rollout.target != number {
                aim(rollout, number, input);
                notes.push((
                    EventKind::RolloutStarted,
                    Severity::Info,
                    format!("rolling back to version {number}"),
                ));
            }
        } else {
            notes.push((
                EventKind::RolloutFailed,
                Severity::Warning,
                format!("version {number} is no longer kept; version {} stays", rollout.target),
            ));
        }
        restart_clock(rollout, input);
        return;
    }
    let failed = rollout.reverted_from.and_then(|number| rollout.revision(number)).cloned();
    if let Some(failed) = failed.filter(|failed| !failed.spec.needs_new_instances(wanted)) {
        if failed.spec == *wanted {
            aim(rollout, failed.number, input);
            notes.push((
                EventKind::RolloutStarted,
                Severity::Info,
                format!("trying version {} again", failed.number),
            ));
        } else {
            // Only the scale changed: it holds for the version that runs, and for the failed one if tried again.
            let number = failed.number;
            if let Some(failed) = rollout.revisions.iter_mut().find(|revision| revision.number == number) {
                failed.spec = Arc::clone(wanted);
            }
            restart_clock(rollout, input);
        }
        return;
    }
    let same =
        rollout.revision(rollout.target).is_some_and(|target| !target.spec.needs_new_instances(wanted));
    if same {
        if let Some(target) = rollout.revisions.iter_mut().find(|revision| revision.number == rollout.target)
        {
            target.spec = Arc::clone(wanted);
        }
        rollout.reverted_from = None;
        restart_clock(rollout, input);
    } else {
        add(rollout, input);
        notes.push(started(rollout));
    }
}

fn started(rollout: &Rollout) -> Note {
    (EventKind::RolloutStarted, Severity::Info, format!("rolling out version {}", rollout.target))
}

/// Makes a revision of the present spec and aims at it.
fn add(rollout: &mut Rollout, input: &RolloutInput) {
    add_revision(rollout, input, Arc::clone(&input.workload.spec));
}

fn add_revision(rollout: &mut Rollout, input: &RolloutInput, spec: Arc<WorkloadSpec>) {
    let secrets = spec
        .secrets
        .iter()
        .filter(|uses| uses.on_change == OnChange::Restart)
        .filter_map(|uses| Some((uses.name.clone(), input.secrets.get(&uses.name)?.clone())))
        .collect();
    rollout.last_revision += 1;
    let number = rollout.last_revision;
    rollout.revisions.push(WorkloadRevision { number, spec, created_at: input.now, proven: false, secrets });
    aim(rollout, number, input);
}

/// Aims at a kept revision by the user's wish.
fn aim(rollout: &mut Rollout, number: u64, input: &RolloutInput) {
    rollout.target = number;
    rollout.reverted_from = None;
    restart_clock(rollout, input);
}

/// Begins a change: progress and deadline count from now.
fn restart_clock(rollout: &mut Rollout, input: &RolloutInput) {
    rollout.started_at = input.now;
    rollout.progressed_at = input.now;
    rollout.progress = 0;
    rollout.settled = false;
    if rollout.status != WorkloadStatus::Pending {
        rollout.status = WorkloadStatus::Progressing;
    }
}

/// Goes back from a failed target to the proven revision that was run last, if there is one: the one with most
/// instances left, then the one whose instances are newest, then the newest. Answers its number.
pub(crate) fn revert(rollout: &mut Rollout, input: &RolloutInput, instances: &[Instance]) -> Option<u64> {
    let failed = rollout.target;
    let last_run = |number: u64| {
        let of = || instances.iter().filter(move |i| i.assignment.workload_revision == number);
        (
            of().filter(|i| !i.phase().is_terminal()).count(),
            of().map(|i| i.assignment.created_at).max(),
            number,
        )
    };
    let others = rollout.revisions.iter().filter(|r| r.proven && r.number != failed);
    let proven = others.map(|r| r.number).max_by_key(|number| last_run(*number))?;
    aim(rollout, proven, input);
    rollout.reverted_from = Some(failed);
    rollout.status = WorkloadStatus::Reverting;
    Some(proven)
}

/// The spec that instances of the target run: the revision's, with everything that needs no new instances as
/// the user wants it now. The kept revision is brought up to date with it.
pub(crate) fn effective_spec(rollout: &mut Rollout, wanted: &Arc<WorkloadSpec>) -> Arc<WorkloadSpec> {
    let target = rollout.target;
    let Some(revision) = rollout.revisions.iter_mut().find(|revision| revision.number == target) else {
        return Arc::clone(wanted);
    };
    let same_kind = revision.spec.kind == wanted.kind;
    let merged = WorkloadSpec {
        replicas: if revision.spec.singleton { wanted.replicas.min(1) } else { wanted.replicas },
        priority: wanted.priority,
        update: wanted.update.clone(),
        ingress: wanted.ingress.clone(),
        labels: wanted.labels.clone(),
        schedule: if same_kind { wanted.schedule.clone() } else { revision.spec.schedule.clone() },
        ..revision.spec.as_ref().clone()
    };
    if *revision.spec != merged {
        revision.spec = Arc::new(merged);
    }
    Arc::clone(&revision.spec)
}

/// Drops the oldest revisions beyond the kept number, never one that is still needed: the target, the failed one
/// of a revert, the newest proven one, or one that an instance still runs.
pub(crate) fn trim(rollout: &mut Rollout, running: &BTreeSet<u64>) {
    let newest_proven = rollout.revisions.iter().filter(|r| r.proven).map(|r| r.number).max();
    let mut excess = rollout.revisions.len().saturating_sub(KEPT_REVISIONS);
    let (target, reverted_from) = (rollout.target, rollout.reverted_from);
    rollout.revisions.retain(|revision| {
        let number = revision.number;
        let needed = number == target
            || Some(number) == reverted_from
            || Some(number) == newest_proven
            || running.contains(&number);
        let drop = excess > 0 && !needed;
        if drop {
            excess -= 1;
        }
        !drop
    });
}
