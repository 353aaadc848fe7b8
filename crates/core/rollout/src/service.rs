//! Services: keep as many instances as wanted, of the wanted version, without serving less than promised.

use std::collections::{BTreeMap, BTreeSet};

use univrs_model::Timestamp;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Desired, Instance, Phase};
use univrs_model::workload::{OnReconnect, RestartWhen};

use crate::backoff::{broke, retry_at};
use crate::work::Work;

/// What holds the update back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// The update has failed and is not to be taken back: old instances go on, nothing more is exchanged.
    pub(crate) failed: bool,
    /// Something it depends on is not there: nothing is started, and nothing is ended for a start's sake.
    pub(crate) blocked: bool,
}

/// Stops what is too much or outdated, then makes what is missing.
pub(crate) fn services(work: &mut Work<'_>, held: Held) {
    let done = done_slots(work);
    let wanted = (work.spec.replicas as usize).saturating_sub(done.len());
    let in_place = work.spec.is_replaced_in_place();
    let floor = if in_place { 0 } else { wanted.saturating_sub(work.spec.update.max_unavailable as usize) };
    let held = Held { failed: held.failed && work.live().any(|i| work.is_outdated(i)), ..held };

    end_surplus(work, wanted, floor);
    if !held.failed && !held.blocked || wanted == 0 {
        end_outdated(work, floor);
    }
    if !held.blocked {
        make_missing(work, wanted, &done, in_place, held.failed);
    }
}

/// Slots whose instance ended for good by the user's restart policy.
pub(crate) fn done_slots(work: &Work<'_>) -> BTreeSet<u32> {
    let policy = work.spec.restart.policy;
    let done = |instance: &&Instance| {
        let assignment = &instance.assignment;
        assignment.workload_revision == work.rollout.target
            && assignment.desired == Desired::Run
            && match policy {
                RestartWhen::Always => false,
                RestartWhen::OnFailure => instance.phase() == Phase::Stopped,
                RestartWhen::Never => matches!(instance.phase(), Phase::Stopped | Phase::Failed),
            }
    };
    work.instances.iter().filter(done).map(|i| i.assignment.slot).collect()
}

/// Ends current instances beyond the wanted number, the least missed first.
fn end_surplus(work: &mut Work<'_>, wanted: usize, floor: usize) {
    let current: Vec<&Instance> = work.live().filter(|i| work.is_current(i)).collect();
    let surplus = current.len().saturating_sub(wanted);
    if surplus == 0 {
        return;
    }
    let mut per_slot: BTreeMap<u32, Vec<&Instance>> = BTreeMap::new();
    let mut per_node: BTreeMap<&NodeId, usize> = BTreeMap::new();
    for instance in &current {
        per_slot.entry(instance.assignment.slot).or_default().push(instance);
        if let Some(node) = &instance.assignment.node {
            *per_node.entry(node).or_default() += 1;
        }
    }
    let yields: BTreeSet<&InstanceId> =
        per_slot.values().flat_map(|twins| yielding(twins, work.spec.on_disconnect.on_reconnect)).collect();
    // Ascending: first a twin that yields, then what serves least, then the fullest node, the highest slot.
    let mut order: Vec<_> = current
        .iter()
        .map(|i| {
            let standing = match i.phase() {
                Phase::Pending => 0,
                _ if !Work::serves(i) => 1,
                _ if !work.is_available(i) => 2,
                _ => 3,
            };
            let crowd = i.assignment.node.as_ref().and_then(|node| per_node.get(node)).copied().unwrap_or(0);
            let stays = !yields.contains(&i.assignment.id);
            let key =
                (stays, standing, std::cmp::Reverse((crowd, i.assignment.slot, i.assignment.created_at)));
            (key, i.assignment.id.clone())
        })
        .collect();
    order.sort();
    let mut reserve = Reserve::of(work, floor);
    for (_, id) in order.into_iter().take(surplus) {
        if reserve.spares(work, &id) {
            work.stop(&id, "scaled down");
        }
    }
}

/// How many serving instances there are above the floor.
struct Reserve {
    available: usize,
    serving: usize,
    floor: usize,
}

impl Reserve {
    fn of(work: &Work<'_>, floor: usize) -> Self {
        let available = work.live().filter(|i| work.is_available(i)).count();
        let serving = work.live().filter(|i| Work::serves(i)).count();
        Self { available, serving, floor }
    }

    /// Whether an instance can be missed; if so it is counted as gone.
    fn spares(&mut self, work: &Work<'_>, id: &InstanceId) -> bool {
        let Some(instance) = work.index.get(id).map(|at| &work.instances[*at]) else { return false };
        if !Work::serves(instance) {
            return true;
        }
        let available = usize::from(work.is_available(instance));
        let spared = if available == 1 { self.available > self.floor } else { self.serving > self.floor };
        if spared {
            self.available -= available;
            self.serving -= 1;
        }
        spared
    }
}

/// Of instances that share a slot (the original's node came back after it was replaced), those that yield.
fn yielding<'a>(twins: &[&'a Instance], policy: OnReconnect) -> Vec<&'a InstanceId> {
    let best = match policy {
        OnReconnect::KeepReplacement => twins.iter().max_by_key(|i| i.assignment.created_at),
        OnReconnect::KeepOriginal => twins.iter().min_by_key(|i| i.assignment.created_at),
        // The better one serves, restarted less often, and is older.
        OnReconnect::BestScore => twins.iter().min_by_key(|i| {
            let restarts = i.observation.as_ref().map_or(0, |o| o.restarts);
            (!i.serves(), restarts, i.assignment.created_at)
        }),
    };
    let best = best.map(|i| &i.assignment.id);
    twins.iter().map(|i| &i.assignment.id).filter(|id| Some(*id) != best).collect()
}

/// Ends instances of other versions and on draining nodes: those that serve nobody at once, the others as far as
/// the floor allows, oldest first.
fn end_outdated(work: &mut Work<'_>, floor: usize) {
    let mut outdated: Vec<(bool, Timestamp, InstanceId, bool)> = work
        .live()
        .filter(|i| work.is_outdated(i))
        .map(|i| (Work::serves(i), i.assignment.created_at, i.assignment.id.clone(), work.is_draining(i)))
        .collect();
    outdated.sort();
    let mut reserve = Reserve::of(work, floor);
    for (_, _, id, draining) in outdated {
        if !reserve.spares(work, &id) {
            continue;
        }
        let reason = if draining { "its node is being drained" } else { "replaced by another version" };
        work.stop(&id, reason);
    }
}

/// Makes instances for the free slots, as far as surge, order and waits allow.
fn make_missing(work: &mut Work<'_>, wanted: usize, done: &BTreeSet<u32>, in_place: bool, failed: bool) {
    let current = work.live().filter(|i| work.is_current(i)).count();
    let live = work.live().count();
    let missing = wanted.saturating_sub(current);
    let room = if in_place {
        if live > current { 0 } else { missing }
    } else if failed {
        wanted.saturating_sub(live)
    } else {
        (wanted + work.spec.update.max_surge as usize).saturating_sub(live)
    };
    let taken: BTreeSet<u32> = work
        .live()
        .filter(|i| work.is_current(i))
        .map(|i| i.assignment.slot)
        .chain(done.iter().copied())
        .collect();
    let mut history: BTreeMap<u32, Vec<&Instance>> = BTreeMap::new();
    for instance in &work.instances {
        if instance.assignment.workload_revision == work.rollout.target
            && (broke(instance) || instance.assignment.lost)
        {
            history.entry(instance.assignment.slot).or_default().push(instance);
        }
    }
    let mut slots = Vec::new();
    let mut waits: Vec<Timestamp> = Vec::new();
    for slot in Work::free_slots(taken).take(missing) {
        if slots.len() >= room {
            break;
        }
        let past = history.get(&slot).map_or(&[][..], Vec::as_slice);
        let broken: Vec<&Instance> = past.iter().copied().filter(|i| broke(i)).collect();
        match retry_at(&work.spec.restart, &broken, work.now()) {
            Some(at) if at > work.now() => waits.push(at),
            _ => slots.push((slot, reason(past))),
        }
    }
    for at in waits {
        work.wake(at);
    }
    for (slot, reason) in slots {
        work.make(slot, None, reason);
    }
}

/// Why a slot gets a new instance.
fn reason(past: &[&Instance]) -> &'static str {
    match past.iter().max_by_key(|i| i.assignment.created_at) {
        Some(last) if last.assignment.lost => "replaces an instance whose node was lost",
        Some(_) => "replaces an instance that ended",
        None => "waiting to be placed",
    }
}
