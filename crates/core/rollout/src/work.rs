//! The working state of one planning: the world as it will be once the decisions taken so far are applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use univrs_model::Timestamp;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::InstanceId;
use univrs_model::instance::{Assignment, Desired, Instance, Phase};
use univrs_model::rollout::Rollout;
use univrs_model::span::Span;
use univrs_model::workload::{OnReconnect, WorkloadSpec};

use crate::input::RolloutInput;

/// The working state. Every decision is applied to `instances` at once, so later ones see it.
pub(crate) struct Work<'a> {
    pub(crate) input: &'a RolloutInput,
    /// The spec of the target revision with the user's present scale, update policy and the like.
    pub(crate) spec: Arc<WorkloadSpec>,
    pub(crate) rollout: Rollout,
    pub(crate) instances: Vec<Instance>,
    /// Where each instance lies in `instances`.
    pub(crate) index: BTreeMap<InstanceId, usize>,
    pub(crate) create: Vec<InstanceId>,
    pub(crate) update: Vec<InstanceId>,
    pub(crate) forget: BTreeSet<InstanceId>,
    pub(crate) events: Vec<Event>,
    pub(crate) wake_at: Option<Timestamp>,
    /// What is being waited for, for people.
    pub(crate) waits: Option<String>,
    /// Which ids were derived from the seed.
    pub(crate) ids_made: u64,
}

impl Work<'_> {
    pub(crate) fn now(&self) -> Timestamp {
        self.input.now
    }

    /// Looks again at `at`, or earlier.
    pub(crate) fn wake(&mut self, at: Timestamp) {
        if at > self.now() {
            self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
        }
    }

    pub(crate) fn event(&mut self, kind: EventKind, severity: Severity, message: impl Into<String>) {
        self.events.push(Event {
            at: self.now(),
            kind,
            severity,
            workload: Some(self.input.workload.spec.name.clone()),
            instance: None,
            node: None,
            message: message.into(),
        });
    }

    /// Asks an instance to end.
    pub(crate) fn stop(&mut self, id: &InstanceId, reason: &str) {
        let now = self.now();
        let Some(instance) = self.index.get(id).and_then(|at| self.instances.get_mut(*at)) else { return };
        let assignment = &mut instance.assignment;
        if assignment.desired == Desired::Stop {
            return;
        }
        assignment.desired = Desired::Stop;
        assignment.fence += 1;
        assignment.stop_requested_at = Some(now);
        reason.clone_into(&mut assignment.reason);
        self.update.push(id.clone());
    }

    /// Adds a new instance.
    pub(crate) fn add(&mut self, assignment: Assignment) {
        self.create.push(assignment.id.clone());
        self.index.insert(assignment.id.clone(), self.instances.len());
        self.instances.push(Instance { assignment, observation: None, reachable: true });
    }

    /// Instances that are not ended, without those that were given up for the time being (see [`is_absent`]).
    pub(crate) fn live(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|i| !i.phase().is_terminal() && !is_absent(i, &self.spec))
    }

    /// Whether an instance is what it should be: the target revision, not to be stopped, not on a draining node.
    pub(crate) fn is_current(&self, instance: &Instance) -> bool {
        let assignment = &instance.assignment;
        assignment.workload_revision == self.rollout.target
            && assignment.desired == Desired::Run
            && !self.is_draining(instance)
    }

    pub(crate) fn is_draining(&self, instance: &Instance) -> bool {
        instance.assignment.node.as_ref().is_some_and(|node| self.input.draining.contains(node))
    }

    /// Whether a live instance is to be replaced by another.
    pub(crate) fn is_outdated(&self, instance: &Instance) -> bool {
        instance.assignment.desired == Desired::Run && !self.is_current(instance)
    }

    /// Whether an instance counts as available: serving, and long enough.
    pub(crate) fn is_available(&self, instance: &Instance) -> bool {
        instance.assignment.desired == Desired::Run
            && instance
                .serving_since()
                .is_some_and(|since| over(since, self.min_healthy(instance), self.now()) <= self.now())
    }

    /// Whether an instance serves and is wanted, however short.
    pub(crate) fn serves(instance: &Instance) -> bool {
        instance.assignment.desired == Desired::Run && instance.serves()
    }

    /// Instances of older revisions count at once: they are judged by what they serve now.
    fn min_healthy(&self, instance: &Instance) -> Span {
        if instance.assignment.workload_revision == self.rollout.target {
            self.spec.update.min_healthy
        } else {
            Span::ZERO
        }
    }

    /// When the instances that serve but not yet long enough will count.
    pub(crate) fn wake_for_health(&mut self) {
        let due: Vec<Timestamp> = self
            .live()
            .filter(|i| i.assignment.desired == Desired::Run && !self.is_available(i))
            .filter_map(|i| Some(over(i.serving_since()?, self.min_healthy(i), self.now())))
            .collect();
        for at in due {
            self.wake(at);
        }
    }
}

/// Whether an unreachable instance is set aside without being lost, because its user wants it back when its
/// node returns. It holds no slot meanwhile. Never a singleton's: that one is replaced only once it is lost.
pub(crate) fn is_absent(instance: &Instance, spec: &WorkloadSpec) -> bool {
    !instance.reachable
        && !spec.singleton
        && instance.assignment.desired == Desired::Run
        && instance.phase() != Phase::Pending
        && spec.on_disconnect.on_reconnect != OnReconnect::KeepReplacement
}

/// `at` plus `span`, at most the end of time.
pub(crate) fn later(at: Timestamp, span: Span) -> Timestamp {
    at.saturating_add(SignedDuration::from(span)).unwrap_or(Timestamp::MAX)
}

/// How far the clocks of two machines may differ.
const SKEW: Span = Span::seconds(60);

/// Whether a time was told by a clock that has been set back since: it is further ahead than clocks differ.
pub(crate) fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at > later(now, SKEW)
}

/// When `span` from `at` on is over. Of a time that [`is_ahead`] nobody knows how long ago it was, and the span counts
/// as over now: waiting for the clock to come there again could take for ever.
pub(crate) fn over(at: Timestamp, span: Span, now: Timestamp) -> Timestamp {
    if is_ahead(at, now) { now } else { later(at, span) }
}
