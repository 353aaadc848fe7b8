//! The life of one instance on its node: from what is wanted and what is there to what is done next.
//!
//! [`next`] is called whenever anything changed or `wake_at` has come, with everything the node knows. It
//! answers the steps that are due and the observation to report. Steps may be answered again until their effect
//! is seen, so carrying one out twice must do no harm, and one that is under way is not begun anew. [`Memory`]
//! carries what cannot be read off the runtime; should it be lost, the life goes on with fresh counts.
//!
//! An instance that ended keeps its sandbox, so that logs can be read, until its order is gone; then
//! [`dispose`] tells what is left to clear.

mod ending;
mod health;
mod running;
mod seen;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use univrs_model::Timestamp;
use univrs_model::instance::{Desired, Health, InstanceOrder, Observation, Phase};
use univrs_model::name::Name;
use univrs_model::span::Span;
use univrs_model::workload::ContainerSpec;

pub use running::JOB_RESTARTS;
pub use seen::{ContainerSeen, Preparation, ProbeResult, ProbeSeen, Seen, Trouble};

use crate::loss::stop_after;
use crate::work::over;

/// The longest wait between two attempts of a preparation that failed for the time being.
const LONGEST_PREPARATION_WAIT: Span = Span::seconds(60);

/// One thing to do. Carrying it out twice must do no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifeStep {
    /// Fetch and unpack the images of all containers.
    PrepareImages,
    /// Make volumes and secrets ready to be mounted.
    PrepareStorage,
    /// Make the namespaces that the containers share.
    OpenSandbox,
    /// Give the instance its place in the network.
    Attach,
    /// Start a container; a higher attempt replaces an ended one.
    StartContainer {
        /// Which container.
        name: Name,
        /// Counts its starts from 0.
        attempt: u32,
    },
    /// Ask a container to end, and kill it after `grace`.
    StopContainer {
        /// Which container.
        name: Name,
        /// The time it has.
        grace: Span,
    },
    /// Renew the files of secrets in a running container, then send it SIGHUP.
    RenewSecrets {
        /// Which container.
        name: Name,
    },
    /// Probe a container's health once and report the result in [`Seen::probes`].
    Probe {
        /// Which container.
        name: Name,
    },
    /// Take the instance out of the network.
    Detach,
    /// Remove containers, logs and namespaces.
    CloseSandbox,
    /// Unmount what was made ready; volumes keep their contents.
    ReleaseStorage,
}

/// What is remembered of an instance from one call to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Restarts that happened before this memory began.
    pub(crate) restarts_before: u32,
    /// Whether the memory has begun.
    pub(crate) begun: bool,
    /// Per container.
    pub(crate) containers: BTreeMap<Name, ContainerMemory>,
    /// How it ends, once that is decided.
    pub(crate) ending: Option<Ending>,
    /// The exit that happened last.
    pub(crate) last_exit: Option<(Timestamp, Option<i32>)>,
}

/// What is remembered of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerMemory {
    /// The attempt that was started last.
    pub(crate) attempt: Option<u32>,
    /// The attempt whose end was counted last.
    pub(crate) counted: Option<u32>,
    /// How often it ended in a row without having run for long.
    pub(crate) streak: u32,
    /// The attempt that is being stopped because it failed its checks.
    pub(crate) unhealthy: Option<u32>,
    /// Whether the running attempt has passed its check.
    pub(crate) passed: Option<u32>,
    /// Whether it failed its checks and has not passed since.
    pub(crate) failing: bool,
    /// Failed probes in a row.
    pub(crate) failures: u32,
    /// When the probe was made that was counted last.
    pub(crate) probed_at: Option<Timestamp>,
}

/// How an instance ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    pub(crate) phase: Phase,
    pub(crate) message: String,
}

/// What [`next`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// What to do now, in order.
    pub steps: Vec<LifeStep>,
    /// What to report; write it when it differs from the one before.
    pub observation: Observation,
    /// What to remember.
    pub memory: Memory,
    /// When to look again if nothing else happens before.
    pub wake_at: Option<Timestamp>,
}

/// The working state of one call.
pub(crate) struct Now<'a> {
    pub(crate) order: &'a InstanceOrder,
    pub(crate) seen: &'a Seen,
    pub(crate) containers: Vec<ContainerSpec>,
    pub(crate) now: Timestamp,
    pub(crate) steps: Vec<LifeStep>,
    pub(crate) observation: Observation,
    pub(crate) memory: Memory,
    pub(crate) wake_at: Option<Timestamp>,
}

impl Now<'_> {
    pub(crate) fn wake(&mut self, at: Timestamp) {
        if at > self.now {
            self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
        }
    }

    /// Moves the phase forward, never back.
    pub(crate) fn reach(&mut self, phase: Phase) {
        self.observation.phase = self.observation.phase.max(phase);
    }

    pub(crate) fn set_health(&mut self, health: Health) {
        if self.observation.health != health {
            self.observation.health = health;
            self.observation.health_since = self.now;
        }
    }

    pub(crate) fn remembered(&mut self, name: &Name) -> &mut ContainerMemory {
        self.memory.containers.entry(name.clone()).or_default()
    }

    pub(crate) fn seen_container(&self, name: &Name) -> ContainerSeen {
        self.seen.containers.get(name).cloned().unwrap_or(ContainerSeen::Absent)
    }

    /// Decides how the instance ends, unless that is decided.
    pub(crate) fn end_as(&mut self, phase: Phase, message: impl Into<String>) {
        self.memory.ending.get_or_insert(Ending { phase, message: message.into() });
    }
}

/// What to do next for an instance, and what to report of it.
#[must_use]
pub fn next(
    order: &InstanceOrder,
    previous: Option<&Observation>,
    memory: &Memory,
    seen: &Seen,
    now: Timestamp,
) -> Life {
    let assignment = &order.assignment;
    let observation = previous
        .cloned()
        .unwrap_or_else(|| Observation::taken_up(assignment.id.clone(), assignment.fence, now));
    let mut state = Now {
        order,
        seen,
        containers: order.spec.containers(),
        now,
        steps: Vec::new(),
        observation,
        memory: memory.clone(),
        wake_at: None,
    };
    state.observation.fence = state.observation.fence.max(assignment.fence);
    if !state.observation.phase.is_terminal() {
        state.remember_restarts();
        advance(&mut state);
    }
    Life { steps: state.steps, observation: state.observation, memory: state.memory, wake_at: state.wake_at }
}

/// Moves an instance that has not ended.
fn advance(state: &mut Now<'_>) {
    let assignment = &state.order.assignment;
    if assignment.desired == Desired::Stop || assignment.lost {
        state.end_as(Phase::Stopped, assignment.reason.clone());
    } else if state.observation.phase == Phase::Stopping {
        // The memory was lost on the way to the end; how it was meant to end is not known any more.
        state.end_as(Phase::Failed, "ended while its node's daemon restarted");
    }
    if let (Some(since), Some(after)) = (state.seen.cut_off_since, stop_after(&state.order.spec)) {
        let due = over(since, after, state.now);
        if due <= state.now {
            let phase = if state.is_service() { Phase::Stopped } else { Phase::Failed };
            state.end_as(phase, format!("stopped by its node, which was cut off for {after}"));
        } else {
            state.wake(due);
        }
    }
    // What has not begun may have been given to another node since; whoever decides that cannot be heard.
    let must_wait =
        state.seen.cut_off_since.is_some() && !state.is_up() && state.observation.phase < Phase::Running;
    if state.memory.ending.is_none() && !must_wait {
        if state.prepare() {
            state.run();
        } else if state.observation.phase == Phase::Running {
            // Everything vanished, as after its node's restart: it is made anew and does not serve meanwhile.
            state.set_health(Health::Starting);
        }
    }
    if state.memory.ending.is_some() {
        state.end();
    }
}

impl Now<'_> {
    /// Prepares what containers need; true once everything is there.
    fn prepare(&mut self) -> bool {
        let seen = self.seen;
        if self.is_up() {
            // What runs was prepared; a daemon that restarted need not have looked yet.
            return true;
        }
        self.reach(Phase::Pulling);
        let images = self.prepared(&seen.images, LifeStep::PrepareImages, "its images");
        let storage = self.prepared(&seen.storage, LifeStep::PrepareStorage, "its volumes and secrets");
        let sandbox = self.prepared(&seen.sandbox, LifeStep::OpenSandbox, "its sandbox");
        let network = sandbox && self.prepared(&seen.network, LifeStep::Attach, "its network");
        if images {
            self.observation.images.clone_from(&seen.image_digests);
            self.reach(Phase::Starting);
        }
        images && storage && sandbox && network
    }

    /// Whether any container exists, so that everything was prepared once.
    fn is_up(&self) -> bool {
        self.seen.containers.values().any(|seen| !matches!(seen, ContainerSeen::Absent))
    }

    fn prepared(&mut self, preparation: &Preparation, step: LifeStep, what: &str) -> bool {
        match preparation {
            Preparation::Ready => return true,
            Preparation::Missing => self.steps.push(step),
            Preparation::Doing => {}
            Preparation::Failed(trouble) if trouble.temporary => {
                let wait =
                    Span::millis(1000_u64.saturating_mul(1 << trouble.tries.saturating_sub(1).min(16)));
                let at = over(trouble.at, wait.min(LONGEST_PREPARATION_WAIT), self.now);
                self.observation.message = format!("waiting for {what}: {}", trouble.message);
                if at <= self.now {
                    self.steps.push(step);
                }
                self.wake(at);
            }
            Preparation::Failed(trouble) => {
                self.end_as(Phase::Failed, format!("cannot prepare {what}: {}", trouble.message));
            }
        }
        false
    }
}

/// What is left to clear of an instance whose order is gone, or is not known here; empty when nothing is, or when a
/// container is about to run: what it stands on is not taken away before it has ended.
#[must_use]
pub fn dispose(seen: &Seen, grace: Span) -> Vec<LifeStep> {
    let running: Vec<LifeStep> = seen
        .containers
        .iter()
        .filter(|(_, seen)| matches!(seen, ContainerSeen::Running { .. }))
        .map(|(name, _)| LifeStep::StopContainer { name: name.clone(), grace })
        .collect();
    let starting = seen.containers.values().any(|seen| *seen == ContainerSeen::Starting);
    if starting || !running.is_empty() {
        return running;
    }
    let mut steps = Vec::new();
    if seen.network != Preparation::Missing {
        steps.push(LifeStep::Detach);
    }
    if seen.sandbox != Preparation::Missing {
        steps.push(LifeStep::CloseSandbox);
    }
    if seen.storage != Preparation::Missing {
        steps.push(LifeStep::ReleaseStorage);
    }
    steps
}
