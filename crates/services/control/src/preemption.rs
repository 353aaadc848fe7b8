//! Making room for what matters more: who has to go, and for whom the room is kept meanwhile.
//!
//! The scheduler names victims; they are stopped as in an update, with their grace, and their workloads make new
//! instances that wait. Until the last victim is gone, nothing that matters less takes the room.

use std::collections::BTreeMap;

use univrs_model::Timestamp;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Assignment, Desired};
use univrs_model::name::Name;
use univrs_model::workload::WorkloadSpec;
use univrs_schedule::Preemption;

use crate::state::State;

/// Room that is being made.
struct Nomination {
    workload: Name,
    priority: u8,
    node: NodeId,
    victims: Vec<InstanceId>,
}

/// Instances that wait for victims to end. Kept in memory: should it be lost, the same victims are named again,
/// and they are stopping already.
#[derive(Default)]
pub(crate) struct Nominations(BTreeMap<InstanceId, Nomination>);

impl Nominations {
    /// Forgets what is over: the instance has its node or is not wanted, or its victims have ended.
    pub(crate) fn follow(&mut self, state: &State) {
        self.0.retain(|id, nomination| {
            let waits = state
                .assignments
                .get(id)
                .is_none_or(|assignment| assignment.node.is_none() && assignment.desired == Desired::Run);
            let unfinished = nomination
                .victims
                .iter()
                .any(|victim| state.instance(victim).is_some_and(|victim| victim.phase().holds_resources()));
            waits && unfinished
        });
    }

    /// Whether room is being made for an instance.
    pub(crate) fn has(&self, instance: &InstanceId) -> bool {
        self.0.contains_key(instance)
    }

    /// For whom the room on a node is kept, before something of this priority.
    pub(crate) fn keeps(&self, node: &NodeId, priority: u8) -> Option<&Name> {
        let kept = self.0.values().find(|kept| kept.node == *node && kept.priority > priority)?;
        Some(&kept.workload)
    }

    /// Remembers whom an instance waits for.
    pub(crate) fn add(&mut self, assignment: &Assignment, spec: &WorkloadSpec, preemption: &Preemption) {
        let nomination = Nomination {
            workload: assignment.workload.clone(),
            priority: spec.priority,
            node: preemption.node.clone(),
            victims: preemption.victims.clone(),
        };
        self.0.insert(assignment.id.clone(), nomination);
    }
}

/// A victim asked to end, with what is told of it; nothing for one that ends already.
pub(crate) fn stop(
    victim: &Assignment,
    winner: &Assignment,
    spec: &WorkloadSpec,
    now: Timestamp,
) -> Option<(Assignment, Event)> {
    if victim.desired == Desired::Stop {
        return None;
    }
    // Another organisation's names are not told.
    let whom = if victim.org == winner.org {
        format!("{} of priority {}", winner.workload, spec.priority)
    } else {
        format!("a workload of priority {}", spec.priority)
    };
    let reason = format!("gave its room to {whom}");
    let event = Event {
        at: now,
        kind: EventKind::InstancePreempted,
        severity: Severity::Warning,
        workload: Some(victim.workload.clone()),
        instance: Some(victim.id.clone()),
        node: victim.node.clone(),
        message: format!("an instance of {} {reason}", victim.workload),
    };
    let stopped = Assignment {
        desired: Desired::Stop,
        fence: victim.fence + 1,
        stop_requested_at: Some(now),
        reason,
        ..victim.clone()
    };
    Some((stopped, event))
}
