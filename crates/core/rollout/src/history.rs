//! Which ended instances are kept for people to look at, and which are forgotten.

use std::collections::BTreeMap;

use univrs_model::ids::InstanceId;
use univrs_model::instance::{Desired, Instance, Phase};
use univrs_model::workload::{RestartWhen, WorkloadKind};

use crate::backoff::broke;
use crate::work::Work;

/// How many ended instances of one slot are kept.
const KEPT_PER_SLOT: usize = 3;
/// How many ended instances of one workload are kept.
const KEPT_PER_WORKLOAD: usize = 10;
/// How many failures of a slot the waits are read off (see [`crate::backoff`]).
const NEEDED_FAILURES: usize = 2;

/// The ended instances that can go: all of them when the workload is being deleted, otherwise all but a short
/// history and those that later decisions are read off.
pub(crate) fn forgettable(work: &Work<'_>) -> Vec<InstanceId> {
    let mut ended: Vec<&Instance> = work.instances.iter().filter(|i| i.phase().is_terminal()).collect();
    ended.sort_by_key(|i| std::cmp::Reverse((i.assignment.created_at, i.assignment.id.clone())));
    if work.input.workload.deleting {
        return ended.iter().map(|i| i.assignment.id.clone()).collect();
    }
    let mut kept = 0;
    let mut per_slot: BTreeMap<u32, usize> = BTreeMap::new();
    let mut failures: BTreeMap<u32, usize> = BTreeMap::new();
    let mut forget = Vec::new();
    for instance in ended {
        let slot = instance.assignment.slot;
        let seen = per_slot.entry(slot).or_default();
        *seen += 1;
        let needed = broke(instance) && instance.assignment.workload_revision == work.rollout.target && {
            let failed = failures.entry(slot).or_default();
            *failed += 1;
            *failed <= NEEDED_FAILURES
                && (slot < work.spec.replicas || work.spec.kind == WorkloadKind::Daemon)
        };
        let cron = work.spec.kind == WorkloadKind::Cron;
        if needed && !cron || is_outcome(work, instance) {
            continue;
        }
        if (cron || *seen <= KEPT_PER_SLOT) && kept < KEPT_PER_WORKLOAD {
            kept += 1;
        } else {
            forget.push(instance.assignment.id.clone());
        }
    }
    forget
}

/// Whether an ended instance says that its slot is done, so that forgetting it would run it again.
fn is_outcome(work: &Work<'_>, instance: &Instance) -> bool {
    if instance.assignment.workload_revision != work.rollout.target
        || instance.assignment.desired == Desired::Stop
    {
        return false;
    }
    match work.spec.kind {
        WorkloadKind::Job => matches!(instance.phase(), Phase::Stopped | Phase::Failed),
        WorkloadKind::Service => match work.spec.restart.policy {
            RestartWhen::Always => false,
            RestartWhen::OnFailure => instance.phase() == Phase::Stopped,
            RestartWhen::Never => matches!(instance.phase(), Phase::Stopped | Phase::Failed),
        },
        WorkloadKind::Cron | WorkloadKind::Daemon => false,
    }
}
