//! Daemons: one instance on each eligible node, exchanged node by node in place.

use std::collections::{BTreeMap, BTreeSet};

use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::Instance;

use crate::backoff::{broke, retry_at};
use crate::service::Held;
use crate::work::Work;

/// Stops instances on other nodes and of other versions, then fills the nodes that have none. At most
/// `max_unavailable` nodes (at least one) are without a serving instance because of an update.
pub(crate) fn daemons(work: &mut Work<'_>, held: Held) {
    let eligible: BTreeSet<&NodeId> =
        work.input.eligible_nodes.iter().filter(|node| !work.input.draining.contains(node)).collect();
    let held_back = held.blocked || held.failed;
    let mut seen: BTreeSet<&NodeId> = BTreeSet::new();
    let mut ends: Vec<(InstanceId, &'static str)> = Vec::new();
    let mut outdated: Vec<&Instance> = Vec::new();
    let mut available = 0;
    let mut live: Vec<&Instance> = work.live().collect();
    live.sort_by_key(|i| (!work.is_current(i), i.assignment.created_at));
    for instance in live {
        let node = instance.assignment.node.as_ref().filter(|node| eligible.contains(node));
        match node {
            None => ends.push((instance.assignment.id.clone(), "its node is not meant for it")),
            Some(node) if !seen.insert(node) && work.is_current(instance) => {
                ends.push((instance.assignment.id.clone(), "its node has another one"));
            }
            Some(_) => {
                available += usize::from(work.is_available(instance));
                if work.is_outdated(instance) {
                    outdated.push(instance);
                }
            }
        }
    }
    let floor = eligible.len().saturating_sub((work.spec.update.max_unavailable as usize).max(1));
    outdated.sort_by_key(|i| (Work::serves(i), i.assignment.created_at));
    for instance in outdated.into_iter().filter(|_| !held_back) {
        if work.is_available(instance) {
            if available <= floor {
                continue;
            }
            available -= 1;
        }
        ends.push((instance.assignment.id.clone(), "replaced by another version"));
    }
    for (id, reason) in ends {
        work.stop(&id, reason);
    }
    if !held.blocked {
        fill(work, &eligible);
    }
}

/// Makes an instance for each eligible node that has none. A node keeps its slot while its history is known.
fn fill(work: &mut Work<'_>, eligible: &BTreeSet<&NodeId>) {
    let occupied: BTreeSet<NodeId> = work.live().filter_map(|i| i.assignment.node.clone()).collect();
    let mut taken: BTreeSet<u32> = work.live().map(|i| i.assignment.slot).collect();
    let mut past: BTreeMap<NodeId, Vec<&Instance>> = BTreeMap::new();
    for instance in &work.instances {
        if let Some(node) = &instance.assignment.node {
            past.entry(node.clone()).or_default().push(instance);
        }
    }
    let mut free = 0;
    let mut waits = Vec::new();
    let mut makes = Vec::new();
    for node in eligible.iter().filter(|node| !occupied.contains(**node)) {
        let known = past.get(*node).map_or(&[][..], Vec::as_slice);
        let target = work.rollout.target;
        let broken: Vec<&Instance> =
            known.iter().copied().filter(|i| i.assignment.workload_revision == target && broke(i)).collect();
        if let Some(at) = retry_at(&work.spec.restart, &broken, work.now()).filter(|at| *at > work.now()) {
            waits.push(at);
            continue;
        }
        let last = known.iter().max_by_key(|i| i.assignment.created_at).map(|i| i.assignment.slot);
        let slot = last.filter(|slot| !taken.contains(slot));
        let slot = slot.unwrap_or_else(|| {
            while taken.contains(&free) {
                free += 1;
            }
            free
        });
        taken.insert(slot);
        makes.push((slot, (*node).clone()));
    }
    for at in waits {
        work.wake(at);
    }
    for (slot, node) in makes {
        work.make(slot, Some(node), "placed on a node that needs it");
    }
}
