//! The scheduler kept in step with the picture of the state, and what it decides put into words.

use std::collections::BTreeMap;

use univrs_model::Timestamp;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::Assignment;
use univrs_model::node::NodePolicy;
use univrs_model::workload::{WorkloadKind, WorkloadSpec};
use univrs_ports::store::Revision;
use univrs_schedule::{Constraint, NodeInfo, Placed, Preemption, Request, Scheduler};

use crate::state::{State, Touched, WorkloadKey};

/// Decides between nodes that score alike; any number does, as long as it stays the same.
const SEED: u64 = 0x756e_6976_7273;

/// The scheduler and what it has seen of the state.
pub(crate) struct Placement {
    scheduler: Scheduler,
    nodes: BTreeMap<NodeId, NodeInfo>,
    /// Since when nodes have been without a lease, and when they had registered last.
    gone_since: BTreeMap<NodeId, (Option<Revision>, Timestamp)>,
}

/// Where an instance goes, and why.
pub(crate) struct Chosen {
    pub(crate) node: NodeId,
    pub(crate) reason: String,
}

impl Default for Placement {
    fn default() -> Self {
        Self { scheduler: Scheduler::new(SEED), nodes: BTreeMap::new(), gone_since: BTreeMap::new() }
    }
}

impl Placement {
    /// A scheduler that has seen all of `state`.
    pub(crate) fn of(state: &State, now: Timestamp) -> Self {
        let mut placement = Self::default();
        let touched = Touched {
            nodes: state.nodes.keys().cloned().collect(),
            instances: state.assignments.keys().cloned().collect(),
            ..Touched::default()
        };
        placement.follow(state, &touched, now);
        placement
    }

    pub(crate) fn scheduler(&mut self) -> &mut Scheduler {
        &mut self.scheduler
    }

    /// Takes in what changed; answers whether an instance gave its room back.
    pub(crate) fn follow(&mut self, state: &State, touched: &Touched, now: Timestamp) -> bool {
        for id in &touched.nodes {
            self.follow_node(state, id, now);
        }
        let mut freed = false;
        for id in &touched.instances {
            freed |= self.follow_instance(state, id);
        }
        freed
    }

    fn follow_node(&mut self, state: &State, id: &NodeId, now: Timestamp) {
        let alive = state.nodes_alive.contains(id);
        let registered = state.nodes.get(id).map(|node| node.revision);
        if alive {
            self.gone_since.remove(id);
        } else {
            let known = self.gone_since.entry(id.clone()).or_insert((registered, now));
            // It was back and went again while nothing was heard here: what is counted began anew.
            if registered.is_some() && known.0 != registered {
                *known = (registered, now);
            }
        }
        let Some(node) = state.nodes.get(id) else {
            self.scheduler.remove_node(id);
            self.nodes.remove(id);
            return;
        };
        let policy =
            state.node_policies.get(id).map_or_else(NodePolicy::default, |policy| NodePolicy::clone(policy));
        let info = NodeInfo::of(node, &policy, alive);
        let is_new = !self.nodes.contains_key(id);
        self.scheduler.upsert_node(info.clone());
        self.nodes.insert(id.clone(), info);
        if is_new {
            for assignment in state.assignments_on(id) {
                self.follow_instance(state, &assignment.id);
            }
        }
    }

    /// Answers whether the instance gave its room back.
    fn follow_instance(&mut self, state: &State, id: &InstanceId) -> bool {
        let placed =
            state.instance(id).filter(|instance| instance.phase().holds_resources()).and_then(|instance| {
                let assignment = instance.assignment;
                let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
                let spec = &state.rollouts.get(&key)?.revision(assignment.workload_revision)?.spec;
                Placed::of(&assignment, spec)
            });
        match placed {
            Some(placed) if self.scheduler.node_of(id) == Some(&placed.node) => false,
            Some(placed) => {
                self.scheduler.add_instance(&placed);
                false
            }
            None => self.scheduler.remove_instance(id),
        }
    }

    /// Finds a node and takes the room on it, or says in a sentence why there is none.
    ///
    /// What has volumes goes where they are, and nowhere else.
    pub(crate) fn place(
        &mut self,
        state: &State,
        assignment: &Assignment,
        spec: &WorkloadSpec,
    ) -> Result<Chosen, String> {
        let request = request(state, assignment, spec)?;
        let home = &request.pinned;
        let at_home = |unplaceable: String| match home {
            // A daemon's instance is meant for its node anyway.
            Some(node) if assignment.node.is_none() => {
                let name = state.nodes.get(node).map(|node| node.name.to_string());
                let name = name.unwrap_or_else(|| node.to_string());
                format!("its volumes are on node {name}: {unplaceable}")
            }
            Some(_) | None => unplaceable,
        };
        let placement =
            self.scheduler.place(&request).map_err(|unplaceable| at_home(unplaceable.to_string()))?;
        let placed = Assignment { node: Some(placement.node.clone()), ..assignment.clone() };
        if let Some(placed) = Placed::of(&placed, spec) {
            self.scheduler.add_instance(&placed);
        }
        let scores = placement.scores;
        let reason = format!(
            "best of the nodes that fit: fit {:.3}, spread {:.3}, affinity {:.3}, siblings {:.3}",
            millionths(scores.fit),
            millionths(scores.spread),
            millionths(scores.affinity),
            millionths(scores.siblings),
        );
        Ok(Chosen { node: placement.node, reason })
    }

    /// Who would have to go so that an instance fits, if that helps.
    pub(crate) fn preempt(
        &mut self,
        state: &State,
        assignment: &Assignment,
        spec: &WorkloadSpec,
    ) -> Option<Preemption> {
        self.scheduler.preempt(&request(state, assignment, spec).ok()?)
    }

    /// Gives back the room of placements that were not committed.
    pub(crate) fn give_back(&mut self, state: &State, ids: &[InstanceId]) {
        for id in ids {
            self.scheduler.remove_instance(id);
            self.follow_instance(state, id);
        }
    }

    /// For a daemon: the nodes that should have an instance, as their roles and its constraints say.
    pub(crate) fn eligible_nodes(&self, spec: &WorkloadSpec) -> Vec<NodeId> {
        if spec.kind != WorkloadKind::Daemon {
            return Vec::new();
        }
        let constraints: Vec<Constraint> =
            spec.placement.constraints.iter().filter_map(|text| Constraint::parse(text).ok()).collect();
        self.nodes
            .values()
            .filter(|node| node.runtime && !node.cordoned && crate::reconcile::runs_workloads(&node.roles))
            .filter(|node| constraints.iter().all(|constraint| constraint.holds(node)))
            .map(|node| node.id.clone())
            .collect()
    }

    /// Since when a node has been without a lease, and whether it was removed altogether.
    pub(crate) fn gone(&self, node: Option<&NodeId>) -> (Option<Timestamp>, bool) {
        let Some(node) = node else { return (None, false) };
        let since = self.gone_since.get(node).map(|(_, since)| *since);
        (since, since.is_some() && !self.nodes.contains_key(node))
    }
}

/// What an instance asks of the scheduler. What has volumes goes where they are.
fn request(state: &State, assignment: &Assignment, spec: &WorkloadSpec) -> Result<Request, String> {
    let mut request = Request::new(assignment, spec).map_err(|fault| fault.to_string())?;
    if let Some(home) = state.home_of(assignment, spec)? {
        request.pinned = Some(home);
    }
    Ok(request)
}

fn millionths(score: i64) -> f64 {
    score as f64 / 1e6
}

/// What is told when an instance got its node.
pub(crate) fn placed_event(state: &State, assignment: &Assignment, node: &NodeId, now: Timestamp) -> Event {
    let name = state.nodes.get(node).map_or_else(|| node.to_string(), |node| node.name.to_string());
    let message = format!("an instance of {} was placed on {name}", assignment.workload);
    event(assignment, Some(node), EventKind::InstancePlaced, Severity::Info, message, now)
}

/// What is told when no node takes an instance.
pub(crate) fn unplaceable_event(assignment: &Assignment, reason: &str, now: Timestamp) -> Event {
    let message = format!("an instance of {} waits: {reason}", assignment.workload);
    event(assignment, None, EventKind::InstanceUnplaceable, Severity::Warning, message, now)
}

/// What is told when an instance was given up with its node.
pub(crate) fn lost_event(assignment: &Assignment, now: Timestamp) -> Event {
    let message = format!("an instance of {} was given up: {}", assignment.workload, assignment.reason);
    event(assignment, assignment.node.as_ref(), EventKind::InstanceLost, Severity::Error, message, now)
}

fn event(
    assignment: &Assignment,
    node: Option<&NodeId>,
    kind: EventKind,
    severity: Severity,
    message: String,
    at: Timestamp,
) -> Event {
    Event {
        at,
        kind,
        severity,
        workload: Some(assignment.workload.clone()),
        instance: Some(assignment.id.clone()),
        node: node.cloned(),
        message,
    }
}
