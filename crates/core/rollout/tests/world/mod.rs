//! A world for plans to act upon: nodes that place, start, break and end instances as chance has it.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use univrs_model::ids::{NodeId, WorkloadId};
use univrs_model::instance::{Desired, Health, Instance, Observation, Phase};
use univrs_model::name::Name;
use univrs_model::rollout::{Rollout, Workload, WorkloadStatus};
use univrs_model::secret::SecretVersion;
use univrs_model::workload::WorkloadSpec;
use univrs_rollout::{Decision, RolloutInput, plan};

pub(crate) fn spec(json: serde_json::Value) -> WorkloadSpec {
    serde_json::from_value(json).unwrap()
}

/// Chance that can be replayed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub(crate) struct World {
    pub(crate) workload: Workload,
    pub(crate) rollout: Option<Rollout>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) now: Timestamp,
    pub(crate) chance: Chance,
    pub(crate) draining: BTreeSet<NodeId>,
    pub(crate) eligible: Vec<NodeId>,
    pub(crate) secrets: BTreeMap<Name, SecretVersion>,
    /// Images that never run.
    pub(crate) bad: BTreeSet<String>,
    /// How likely things break, in percent for each step.
    pub(crate) trouble: u64,
    pub(crate) removed: bool,
    pub(crate) log: Vec<String>,
    seeds: u128,
}

impl World {
    pub(crate) fn new(spec: WorkloadSpec, seed: u64) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let workload = Workload {
            id: WorkloadId::from_bits(7),
            org: Name::default_org(),
            spec: Arc::new(spec),
            generation: 1,
            created_at: start,
            updated_at: start,
            deleting: false,
            roll_back_to: None,
        };
        Self {
            workload,
            rollout: None,
            instances: Vec::new(),
            now: start,
            chance: Chance(seed),
            draining: BTreeSet::new(),
            eligible: Vec::new(),
            secrets: BTreeMap::new(),
            bad: BTreeSet::new(),
            trouble: 0,
            removed: false,
            log: Vec::new(),
            seeds: u128::from(seed) << 64,
        }
    }

    pub(crate) fn change(&mut self, edit: impl FnOnce(&mut WorkloadSpec)) {
        edit(Arc::make_mut(&mut self.workload.spec));
        self.workload.generation += 1;
        self.workload.roll_back_to = None;
        self.workload.updated_at = self.now;
    }

    pub(crate) fn input(&self) -> RolloutInput {
        RolloutInput {
            workload: self.workload.clone(),
            rollout: self.rollout.clone(),
            instances: self.instances.clone(),
            dependencies: BTreeMap::new(),
            secrets: self.secrets.clone(),
            eligible_nodes: self.eligible.clone(),
            draining: self.draining.clone(),
            now: self.now,
            id_seed: self.seeds,
        }
    }

    pub(crate) fn wait(&mut self, millis: i64) {
        self.now = self.now.checked_add(SignedDuration::from_millis(millis)).unwrap();
    }

    /// Plans, applies, and plans again to see that nothing is left to do.
    pub(crate) fn plan(&mut self) -> Decision {
        self.seeds += 1;
        let decision = plan(&self.input());
        self.apply(&decision);
        if !decision.remove_workload {
            let mut again = self.input();
            again.id_seed += 1 << 32;
            let second = plan(&again);
            let brief = |of: &Rollout| {
                let kept: Vec<_> = of.revisions.iter().map(|r| (r.number, r.proven)).collect();
                format!(
                    "{:?}",
                    (kept, of.target, of.status, &of.message, of.settled, of.progress, of.progressed_at)
                )
            };
            assert_eq!(
                brief(&second.rollout),
                brief(&decision.rollout),
                "the second plan changes the rollout"
            );
            assert_eq!(second.rollout, decision.rollout, "the second plan changes the rollout");
            assert!(second.create.is_empty(), "the second plan creates {:?}", second.create);
            assert!(second.update.is_empty(), "the second plan updates {:?}", second.update);
            assert!(second.forget.is_empty(), "the second plan forgets {:?}", second.forget);
            assert!(second.events.is_empty(), "the second plan tells {:?}", second.events);
            assert!(
                [&decision, &second].iter().all(|d| d.wake_at.is_none_or(|at| at > self.now)),
                "it wakes in the past"
            );
        }
        decision
    }

    pub(crate) fn apply(&mut self, decision: &Decision) {
        self.rollout = Some(decision.rollout.clone());
        self.removed = decision.remove_workload;
        for changed in &decision.update {
            let known = self.instances.iter_mut().find(|i| i.assignment.id == changed.id).unwrap();
            assert!(changed.fence > known.assignment.fence);
            known.assignment = changed.clone();
        }
        for assignment in &decision.create {
            assert!(self.instances.iter().all(|i| i.assignment.id != assignment.id), "an id was given twice");
            self.instances.push(Instance {
                assignment: assignment.clone(),
                observation: None,
                reachable: true,
            });
        }
        for id in &decision.forget {
            let at = self.instances.iter().position(|i| &i.assignment.id == id).unwrap();
            assert!(self.instances[at].phase().is_terminal() || self.instances[at].assignment.node.is_none());
            self.instances.remove(at);
        }
        for event in &decision.events {
            self.log.push(format!("{:?}: {}", event.kind, event.message));
        }
    }

    /// Lets every instance live for a moment.
    pub(crate) fn live(&mut self) {
        let rollout = self.rollout.clone().unwrap();
        let now = self.now;
        for instance in &mut self.instances {
            let before = instance.phase();
            let chance = &mut self.chance;
            if before.is_terminal() {
                continue;
            }
            if instance.assignment.node.is_none() {
                if !chance.percent(self.trouble) {
                    instance.assignment.node = Some(NodeId::from_bits(u128::from(chance.below(4))));
                    instance.assignment.fence += 1;
                }
                continue;
            }
            if chance.percent(self.trouble / 4) {
                instance.reachable = false;
            } else if !instance.reachable && chance.percent(50) {
                instance.reachable = true;
            }
            if !instance.reachable {
                if chance.percent(10) {
                    instance.assignment.lost = true;
                    instance.assignment.fence += 1;
                }
                continue;
            }
            let revision = rollout.revision(instance.assignment.workload_revision).unwrap();
            let image = revision.spec.containers()[0].image.clone();
            let checked = revision.spec.containers()[0].health.is_some();
            let bad = self.bad.contains(&image);
            let fence = instance.assignment.fence;
            let id = instance.assignment.id.clone();
            let seen = instance.observation.get_or_insert_with(|| Observation::taken_up(id, fence, now));
            seen.fence = fence;
            if chance.percent(self.trouble) {
                continue;
            }
            if instance.assignment.desired == Desired::Stop {
                seen.phase = if seen.phase == Phase::Stopping { Phase::Stopped } else { Phase::Stopping };
                seen.ended_at = (seen.phase == Phase::Stopped).then_some(now);
                continue;
            }
            match seen.phase {
                Phase::Pending | Phase::Assigned => seen.phase = Phase::Pulling,
                Phase::Pulling => seen.phase = Phase::Starting,
                Phase::Starting => {
                    seen.phase = Phase::Running;
                    seen.started_at = Some(now);
                    seen.health = if checked { Health::Starting } else { Health::None };
                    seen.health_since = now;
                }
                Phase::Running if bad => {
                    seen.exit_code = Some(1);
                    if chance.percent(70) {
                        seen.restarts += 1;
                        seen.started_at = Some(now);
                        seen.health = Health::Starting;
                    } else {
                        seen.phase = Phase::Failed;
                        seen.ended_at = Some(now);
                    }
                }
                Phase::Running if chance.percent(self.trouble) => match chance.below(3) {
                    0 => {
                        seen.restarts += 1;
                        seen.started_at = Some(now);
                    }
                    1 if checked => {
                        seen.health = Health::Failing;
                        seen.health_since = now;
                    }
                    _ => {
                        seen.phase = Phase::Failed;
                        seen.exit_code = Some(1);
                        seen.ended_at = Some(now);
                    }
                },
                Phase::Running if checked && seen.health != Health::Passing => {
                    seen.health = Health::Passing;
                    seen.health_since = now;
                }
                Phase::Running if !checked && seen.health != Health::None => {
                    seen.health = Health::None;
                    seen.health_since = now;
                }
                _ => {}
            }
            assert!(instance.phase() >= before, "a phase went backwards");
        }
    }

    pub(crate) fn count(&self, is: impl Fn(&Instance) -> bool) -> usize {
        self.instances.iter().filter(|i| is(i)).count()
    }

    pub(crate) fn not_ended(&self) -> usize {
        self.count(|i| !i.phase().is_terminal())
    }

    pub(crate) fn serving(&self) -> usize {
        self.count(|i| i.serves() && i.assignment.desired == Desired::Run)
    }

    pub(crate) fn status(&self) -> WorkloadStatus {
        self.rollout.as_ref().unwrap().status
    }

    /// Lets time pass without trouble until the plan says that it is over, at most for so many steps.
    pub(crate) fn calm(&mut self, steps: usize) {
        self.trouble = 0;
        for _ in 0..steps {
            self.plan();
            self.live();
            self.wait(1000);
        }
        self.plan();
    }
}
