//! One look at one workload: what the picture says of it, what the planner makes of that, where instances go, and the
//! one transaction that writes it all down.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdSet;
use univrs_model::Timestamp;
use univrs_model::event::Event;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Assignment, Desired, Instance, Phase};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::rollout::WorkloadStatus;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::store::{Guard, Op, Revision, Txn, TxnOutcome};
use univrs_rollout::{Decision, DependencyState, Loss, RolloutInput};

use crate::error::Error;
use crate::fence::Fence;
use crate::placement::{self, Chosen};
use crate::preemption;
use crate::reconcile::Reconciler;
use crate::record::{delete, put, unchanged};
use crate::state::{State, WorkloadKey};

/// Operations in one transaction; a workload with more changes takes several looks.
const MOST_CHANGES: usize = 500;

impl Reconciler {
    /// Decides about one workload and commits; answers the revision of the commit, if one was needed.
    pub(super) async fn look_at(
        &mut self,
        state: &State,
        key: &WorkloadKey,
    ) -> Result<Option<Revision>, Error> {
        let Some(workload) = state.workloads.get(key) else { return Ok(None) };
        let now = self.clock.now();
        let rollout = state.rollouts.get(key);
        let instances = state.instances_of(key);
        let input = RolloutInput {
            workload: workload.value.as_ref().clone(),
            rollout: rollout.map(|rollout| rollout.value.as_ref().clone()),
            instances: instances.clone(),
            dependencies: dependencies(state, key, &workload.spec),
            secrets: state.newest_secrets(
                &key.org,
                std::iter::once(&*workload.spec)
                    .chain(rollout.iter().flat_map(|rollout| &rollout.revisions).map(|kept| &*kept.spec)),
            ),
            eligible_nodes: self.placement.eligible_nodes(&workload.spec),
            draining: state
                .node_policies
                .iter()
                .filter(|(_, policy)| policy.draining)
                .map(|(node, _)| node.clone())
                .collect(),
            now,
            id_seed: (self.seeds)(),
        };
        let decision = univrs_rollout::plan(&input);
        if let Some(at) = decision.wake_at {
            self.wake_at(key.clone(), at);
        }
        let lost = self.lost(state, key, &instances, now);
        let mut change = Change {
            guards: Vec::new(),
            ops: Vec::new(),
            events: decision.events.clone(),
            placed: Vec::new(),
        };
        change.guards.push(unchanged(keys::workload(&key.org, &key.name), Some(workload.revision))?);
        self.write_rollout(state, key, &decision, &mut change)?;
        for (assignment, event) in &lost {
            self.write_assignment(state, assignment, &mut change)?;
            change.events.push(event.clone());
        }
        let given_up: OrdSet<InstanceId> = lost.iter().map(|(assignment, _)| assignment.id.clone()).collect();
        for assignment in decision.update.iter().filter(|a| !given_up.contains(&a.id)).take(MOST_CHANGES) {
            self.write_assignment(state, assignment, &mut change)?;
        }
        for id in decision.forget.iter().take(MOST_CHANGES) {
            let Some(assignment) = state.assignments.get(id) else { continue };
            // It may have been placed since it was looked at; then its record stays.
            change.guards.push(unchanged(keys::instance(&key.org, id), Some(assignment.revision))?);
            change.ops.push(delete(keys::instance(&key.org, id))?);
            if let Some(node) = &assignment.node {
                change.ops.push(delete(keys::observed(node, id))?);
            }
        }
        // Those made now and those still waiting are placed by the same rule.
        let waiting = instances.iter().filter(|instance| instance.assignment.node.is_none());
        let waiting = waiting.map(|instance| &instance.assignment).filter(|assignment| {
            assignment.desired == Desired::Run
                && !decision.update.iter().any(|updated| updated.id == assignment.id)
                && !decision.forget.contains(&assignment.id)
        });
        for assignment in decision.create.iter().chain(waiting).take(MOST_CHANGES) {
            self.place(state, &decision, assignment.clone(), now, &mut change)?;
        }
        self.commit(state, key, change).await
    }

    fn write_rollout(
        &self,
        state: &State,
        key: &WorkloadKey,
        decision: &Decision,
        change: &mut Change,
    ) -> Result<(), Error> {
        let at = keys::rollout(&key.org, &key.name);
        let known = state.rollouts.get(key);
        change.guards.push(unchanged(at.clone(), known.map(|rollout| rollout.revision))?);
        if decision.remove_workload {
            change.ops.push(delete(at)?);
            change.ops.push(delete(keys::workload(&key.org, &key.name))?);
        } else if known.is_none_or(|known| *known.value != decision.rollout) {
            change.ops.push(put(at, &decision.rollout)?);
        }
        Ok(())
    }

    fn write_assignment(
        &self,
        state: &State,
        assignment: &Assignment,
        change: &mut Change,
    ) -> Result<(), Error> {
        let at = keys::instance(&assignment.org, &assignment.id);
        let known = state.assignments.get(&assignment.id);
        change.guards.push(unchanged(at.clone(), known.map(|known| known.revision))?);
        change.ops.push(put(at, assignment)?);
        Ok(())
    }

    /// Finds a node for an instance, or notes why there is none.
    fn place(
        &mut self,
        state: &State,
        decision: &Decision,
        mut assignment: Assignment,
        now: Timestamp,
        change: &mut Change,
    ) -> Result<(), Error> {
        let known = state.assignments.get(&assignment.id).map(|known| known.value.as_ref().clone());
        let key = WorkloadKey { org: assignment.org.clone(), name: assignment.workload.clone() };
        if assignment.node.is_none() {
            let Some(revision) = decision.rollout.revision(assignment.workload_revision) else {
                return Ok(());
            };
            match self.find_place(state, &assignment, &revision.spec) {
                Ok(placed) => {
                    make_volumes(state, &assignment, &revision.spec, &placed.node, now, change)?;
                    change.events.push(placement::placed_event(state, &assignment, &placed.node, now));
                    change.placed.push(assignment.id.clone());
                    assignment.node = Some(placed.node);
                    assignment.reason = placed.reason;
                    assignment.fence += 1;
                }
                Err(unplaceable) => {
                    self.waiting.insert(key);
                    self.make_room(state, &assignment, &revision.spec, now, change)?;
                    if known.as_ref().is_none_or(|known| known.reason != unplaceable) {
                        change.events.push(placement::unplaceable_event(&assignment, &unplaceable, now));
                    }
                    assignment.reason = unplaceable;
                }
            }
        } else if known.is_none() {
            // A daemon's instance brings its node along; it is made only once that node has room for it.
            let Some(revision) = decision.rollout.revision(assignment.workload_revision) else {
                return Ok(());
            };
            match self.find_place(state, &assignment, &revision.spec) {
                Ok(placed) => make_volumes(state, &assignment, &revision.spec, &placed.node, now, change)?,
                Err(reason) => {
                    tracing::debug!(workload = %assignment.workload, reason, "a daemon waits for room on its node");
                    self.waiting.insert(key);
                    return Ok(());
                }
            }
            change.placed.push(assignment.id.clone());
        }
        if known.as_ref() != Some(&assignment) {
            self.write_assignment(state, &assignment, change)?;
        }
        Ok(())
    }

    /// A node for an instance that is not kept for something that matters more.
    fn find_place(
        &mut self,
        state: &State,
        assignment: &Assignment,
        spec: &WorkloadSpec,
    ) -> Result<Chosen, String> {
        let chosen = self.placement.place(state, assignment, spec)?;
        match self.nominations.keeps(&chosen.node, spec.priority) {
            Some(_) => {
                self.placement.give_back(state, std::slice::from_ref(&assignment.id));
                Err("room is being made for a workload of higher priority".to_owned())
            }
            None => Ok(chosen),
        }
    }

    /// Asks instances of lower priority to end, if that makes an instance fit.
    fn make_room(
        &mut self,
        state: &State,
        assignment: &Assignment,
        spec: &WorkloadSpec,
        now: Timestamp,
        change: &mut Change,
    ) -> Result<(), Error> {
        if self.nominations.has(&assignment.id) {
            return Ok(());
        }
        let Some(preemption) = self.placement.preempt(state, assignment, spec) else { return Ok(()) };
        for id in &preemption.victims {
            let Some(victim) = state.assignments.get(id) else { continue };
            // Two instances of one look may name the same victim; it is stopped once.
            let at = keys::instance(&victim.org, id);
            let written = |op: &Op| matches!(op, Op::Put { key, .. } if key.as_str() == at);
            if change.ops.iter().any(written) {
                continue;
            }
            let Some((stopped, event)) = preemption::stop(victim, assignment, spec, now) else { continue };
            self.write_assignment(state, &stopped, change)?;
            self.serial += 1;
            change.ops.push(put(keys::event(&victim.org, now, self.serial), &event)?);
        }
        self.nominations.add(assignment, spec, &preemption);
        Ok(())
    }

    /// Instances on nodes that went away, as far as policy gives them up, with their events.
    fn lost(
        &mut self,
        state: &State,
        key: &WorkloadKey,
        instances: &[Instance],
        now: Timestamp,
    ) -> Vec<(Assignment, Event)> {
        let mut lost = Vec::new();
        for instance in
            instances.iter().filter(|instance| !instance.reachable && !instance.phase().is_terminal())
        {
            let spec = state
                .rollouts
                .get(key)
                .and_then(|rollout| rollout.revision(instance.assignment.workload_revision));
            let Some(spec) = spec.map(|revision| Arc::clone(&revision.spec)) else { continue };
            let (lease_ended_at, removed) = self.placement.gone(instance.assignment.node.as_ref());
            match univrs_rollout::judge_loss(instance, &spec, lease_ended_at, removed, now) {
                Loss::Lost(assignment) => {
                    let event = placement::lost_event(&assignment, now);
                    lost.push((*assignment, event));
                }
                Loss::Wait(until) => self.wake_at(key.clone(), until),
                Loss::Keep => {}
            }
        }
        lost
    }

    async fn commit(
        &mut self,
        state: &State,
        key: &WorkloadKey,
        change: Change,
    ) -> Result<Option<Revision>, Error> {
        let Change { mut guards, mut ops, events, placed } = change;
        if ops.is_empty() && events.is_empty() {
            return Ok(None);
        }
        guards.push(self.fence.guard()?);
        let now = self.clock.now();
        for event in &events {
            self.serial += 1;
            ops.push(put(keys::event(&key.org, now, self.serial), event)?);
        }
        let outcome = self.store.txn(Txn { request: None, guards, ops }).await;
        match outcome {
            Ok(TxnOutcome::Committed { revision }) => {
                tracing::debug!(revision = revision.0, events = events.len(), "committed");
                Ok(Some(revision))
            }
            Ok(TxnOutcome::GuardFailed { actual_mod_revision, key: failed, .. }) => {
                if Fence::is_of(failed.as_ref()) {
                    self.fence.fall();
                }
                self.placement.give_back(state, &placed);
                self.wake_at(key.clone(), now);
                Ok(actual_mod_revision)
            }
            Err(error) => {
                // It may have been committed, or may be yet: a new fence ends that, and shows which.
                self.fence.fall();
                self.placement.give_back(state, &placed);
                Err(error.into())
            }
        }
    }
}

/// What a look at one workload is about to write.
struct Change {
    guards: Vec<Guard>,
    ops: Vec<Op>,
    events: Vec<Event>,
    placed: Vec<InstanceId>,
}

/// Adds the volumes that an instance brings into being by its placement.
fn make_volumes(
    state: &State,
    assignment: &Assignment,
    spec: &WorkloadSpec,
    node: &NodeId,
    now: Timestamp,
    change: &mut Change,
) -> Result<(), Error> {
    for volume in state.volumes_to_make(assignment, spec, node, now) {
        let at = keys::volume(&volume.org, &volume.workload, &volume.name, &volume.place);
        change.guards.push(unchanged(at.clone(), None)?);
        change.ops.push(put(at, &volume)?);
    }
    Ok(())
}

fn dependencies(state: &State, key: &WorkloadKey, spec: &WorkloadSpec) -> BTreeMap<Name, DependencyState> {
    spec.depends_on
        .iter()
        .map(|dependency| {
            let other = WorkloadKey { org: key.org.clone(), name: dependency.workload.clone() };
            let Some(workload) = state.workloads.get(&other) else {
                return (dependency.workload.clone(), DependencyState::default());
            };
            let instances = state.instances_of(&other);
            let serving = instances.iter().filter(|instance| instance.serves()).count();
            let wanted = usize::try_from(workload.spec.replicas).unwrap_or(usize::MAX);
            let reached = DependencyState {
                exists: true,
                started: instances.iter().any(|i| i.phase() == Phase::Running),
                healthy: serving > 0 && serving >= wanted,
                completed: state.rollouts.get(&other).is_some_and(|r| r.status == WorkloadStatus::Completed),
            };
            (dependency.workload.clone(), reached)
        })
        .collect()
}
