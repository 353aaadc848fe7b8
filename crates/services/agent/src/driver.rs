//! Drives one instance: asks the pure [`life`] what is due, carries it out, and looks again at every change.
//!
//! Steps that take time run as tasks and answer through a channel; while one is under way, [`Seen`] says so and it
//! is not begun again. Nothing is remembered that cannot be read off the runtime, but for restart counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use univrs_model::Timestamp;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{InstanceOrder, Observation};
use univrs_model::name::Name;
use univrs_model::span::Span;
use univrs_ports::clock::Clock;
use univrs_ports::images::PreparedImage;
use univrs_ports::network::Attachment;
use univrs_ports::runtime::{ContainerId, ContainerPhase, ContainerState};
use univrs_rollout::life::{self, ContainerSeen, LifeStep, Memory, Preparation, ProbeSeen, Seen, Trouble};

use crate::agent::Machine;
use crate::events;
use crate::reporter::Reporter;
use crate::steps::{self, Effect};

/// The grace for containers whose order is gone, so that nobody says theirs.
const STRAY_GRACE: Span = Span::seconds(10);
/// Without any sign, an instance is looked at this often.
const SWEEP: Duration = Duration::from_secs(30);
/// Effects that may wait to be taken in.
const EFFECTS: usize = 64;

/// What was found of an instance when the daemon started.
#[derive(Default)]
pub(crate) struct Adopted {
    pub(crate) sandbox: bool,
    pub(crate) containers: Vec<ContainerState>,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) observation: Option<Observation>,
}

/// One instance on its way through life.
pub(crate) struct Driver {
    id: InstanceId,
    node: NodeId,
    machine: Machine,
    clock: Arc<dyn Clock>,
    reporter: Reporter,
    seen: Seen,
    memory: Memory,
    observation: Option<Observation>,
    images: BTreeMap<Name, PreparedImage>,
    attachment: Option<Attachment>,
    stopping: BTreeSet<Name>,
    /// Containers whose secrets are being renewed, or whose renewal has just failed.
    renewing: BTreeSet<Name>,
    /// How often each preparation failed in a row.
    tries: BTreeMap<&'static str, u32>,
    effects: (mpsc::Sender<Effect>, mpsc::Receiver<Effect>),
}

impl Driver {
    pub(crate) fn new(
        id: InstanceId,
        machine: Machine,
        clock: Arc<dyn Clock>,
        reporter: Reporter,
        node: NodeId,
        adopted: Adopted,
    ) -> Self {
        let ready = |there: bool| if there { Preparation::Ready } else { Preparation::Missing };
        // Only what has containers has storage that was made ready.
        let seen = Seen {
            storage: ready(!adopted.containers.is_empty()),
            secrets: machine.secrets.delivered(&id),
            sandbox: ready(adopted.sandbox),
            network: ready(adopted.attachment.is_some()),
            address: adopted.attachment.as_ref().map(|attachment| attachment.address.to_string()),
            containers: adopted
                .containers
                .iter()
                .map(|state| (state.id.container.clone(), container_seen(state)))
                .collect(),
            ..Seen::default()
        };
        if !adopted.containers.is_empty() {
            tracing::info!(instance = %id, containers = adopted.containers.len(), "adopted what was found");
        }
        Self {
            id,
            node,
            machine,
            clock,
            reporter,
            seen,
            memory: Memory::default(),
            observation: adopted.observation,
            images: BTreeMap::new(),
            attachment: adopted.attachment,
            stopping: BTreeSet::new(),
            renewing: BTreeSet::new(),
            tries: BTreeMap::new(),
            effects: mpsc::channel(EFFECTS),
        }
    }

    /// Runs until nothing is left of the instance and its order is gone, or until `shutdown`.
    pub(crate) async fn run(
        mut self,
        mut order: watch::Receiver<Option<InstanceOrder>>,
        look: Arc<Notify>,
        mut cut_off: watch::Receiver<Option<Timestamp>>,
        shutdown: CancellationToken,
    ) {
        loop {
            let wanted = order.borrow_and_update().clone();
            self.seen.cut_off_since = *cut_off.borrow_and_update();
            let wake_at = match &wanted {
                Some(wanted) => self.live(wanted),
                None if self.dispose() => {
                    self.reporter.gone(self.id.clone());
                    return;
                }
                None => None,
            };
            let wait = wake_at.map_or(SWEEP, |at| {
                Duration::try_from(at.duration_since(self.clock.now())).unwrap_or(Duration::ZERO).min(SWEEP)
            });
            // In order, so that a run can be repeated.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = order.changed() => if changed.is_err() { return },
                changed = cut_off.changed() => if changed.is_err() { return },
                () = look.notified() => self.look().await,
                effect = self.effects.1.recv() => if let Some(effect) = effect { self.take_in(effect) },
                () = tokio::time::sleep(wait) => if wait == SWEEP { self.look().await },
            }
            while let Ok(effect) = self.effects.1.try_recv() {
                self.take_in(effect);
            }
        }
    }

    /// Does what is due and reports what changed; answers when to look again.
    fn live(&mut self, order: &InstanceOrder) -> Option<Timestamp> {
        let life = life::next(order, self.observation.as_ref(), &self.memory, &self.seen, self.clock.now());
        self.memory = life.memory;
        if self.observation.as_ref() != Some(&life.observation) {
            for event in events::between(
                order,
                &self.node,
                self.observation.as_ref(),
                &life.observation,
                self.clock.now(),
            ) {
                self.reporter.happened(order.assignment.org.clone(), event);
            }
            if life.observation.phase.is_terminal()
                && let Err(error) = self.machine.secrets.forget(&self.id)
            {
                tracing::warn!(instance = %self.id, %error, "the secrets of an ended instance could not be removed");
            }
            self.reporter.observed(life.observation.clone());
            self.observation = Some(life.observation);
        }
        for step in life.steps {
            self.begin(Some(order), step);
        }
        life.wake_at
    }

    /// Clears what is left; true when nothing is.
    fn dispose(&mut self) -> bool {
        let due = life::dispose(&self.seen, STRAY_GRACE);
        let done = due.is_empty() && self.stopping.is_empty() && !self.is_busy();
        for step in due {
            self.begin(None, step);
        }
        done
    }

    fn is_busy(&self) -> bool {
        let preparations = [&self.seen.images, &self.seen.storage, &self.seen.sandbox, &self.seen.network];
        preparations.iter().any(|preparation| **preparation == Preparation::Doing)
            || self.seen.containers.values().any(|container| *container == ContainerSeen::Starting)
    }

    /// Begins a step unless it is under way.
    fn begin(&mut self, order: Option<&InstanceOrder>, step: LifeStep) {
        let doing = |preparation: &mut Preparation| {
            let fresh = *preparation != Preparation::Doing;
            *preparation = Preparation::Doing;
            fresh
        };
        let fresh = match &step {
            LifeStep::PrepareImages => doing(&mut self.seen.images),
            LifeStep::PrepareStorage | LifeStep::ReleaseStorage => doing(&mut self.seen.storage),
            LifeStep::OpenSandbox | LifeStep::CloseSandbox => doing(&mut self.seen.sandbox),
            LifeStep::Attach | LifeStep::Detach => doing(&mut self.seen.network),
            LifeStep::StartContainer { name, .. } => {
                self.seen.containers.insert(name.clone(), ContainerSeen::Starting)
                    != Some(ContainerSeen::Starting)
            }
            LifeStep::StopContainer { name, .. } => self.stopping.insert(name.clone()),
            LifeStep::RenewSecrets { name } => self.renewing.insert(name.clone()),
            LifeStep::Probe { name } => {
                !std::mem::replace(&mut self.seen.probes.entry(name.clone()).or_default().in_flight, true)
            }
        };
        if !fresh {
            return;
        }
        let around = steps::Around {
            id: self.id.clone(),
            machine: self.machine.clone(),
            order: order.cloned(),
            images: self.images.clone(),
            attachment: self.attachment.clone(),
            now: self.clock.now(),
        };
        let effects = self.effects.0.clone();
        let span = tracing::info_span!("step", instance = %self.id, ?step);
        let carrying_out = async move {
            let begun = std::time::Instant::now();
            let effect = steps::carry_out(around, step).await;
            tracing::debug!(millis = begun.elapsed().as_secs_f64() * 1e3, "ended");
            // The driver is gone when the daemon stops; what was done is found again at the next start.
            drop(effects.send(effect).await);
        };
        tokio::spawn(carrying_out.instrument(span));
    }

    fn take_in(&mut self, effect: Effect) {
        let now = self.clock.now();
        match effect {
            Effect::Images(result) => {
                self.seen.images =
                    self.prepared("images", result, |driver, images: BTreeMap<Name, PreparedImage>| {
                        driver.seen.image_digests = images
                            .iter()
                            .map(|(name, image)| (name.to_string(), image.digest.clone()))
                            .collect();
                        driver.images = images;
                        true
                    });
            }
            Effect::Storage(result) => self.seen.storage = self.prepared("storage", result, |_, ready| ready),
            Effect::Sandbox(result) => {
                self.seen.sandbox = self.prepared("sandbox", result, |driver, open| {
                    if !open {
                        driver.seen.containers.clear();
                    }
                    open
                });
            }
            Effect::Network(result) => {
                self.seen.network =
                    self.prepared("network", result, |driver, attachment: Option<Attachment>| {
                        driver.seen.address =
                            attachment.as_ref().map(|attachment| attachment.address.to_string());
                        driver.attachment = attachment;
                        driver.attachment.is_some()
                    });
            }
            Effect::Started { name, attempt, result } => {
                let seen = match result {
                    Ok((state, secrets)) => {
                        self.seen.secrets.insert(name.clone(), secrets);
                        container_seen(&state)
                    }
                    Err(fault) => ContainerSeen::NotStarted { attempt, trouble: trouble(fault, now, 1) },
                };
                self.seen.probes.remove(&name);
                self.seen.containers.insert(name, seen);
            }
            Effect::Stopped { name, state } => {
                self.stopping.remove(&name);
                match state {
                    Ok(Some(state)) => drop(self.seen.containers.insert(name, container_seen(&state))),
                    Ok(None) => drop(self.seen.containers.remove(&name)),
                    // What is not known to have ended counts as running, and is asked to end again.
                    Err(fault) => {
                        tracing::warn!(instance = %self.id, container = %name, reason = fault.message, "cannot look at a container");
                    }
                }
            }
            Effect::Renewed { name, result } => {
                self.renewing.remove(&name);
                match result {
                    Ok(renewal) => {
                        self.reporter.happened(renewal.org, renewal.event);
                        self.seen.secrets.insert(name, renewal.versions);
                    }
                    Err(fault) => {
                        tracing::warn!(instance = %self.id, container = %name, reason = fault.message, "secrets could not be renewed; trying again");
                    }
                }
            }
            Effect::Probed { name, result } => {
                self.seen.probes.insert(name, ProbeSeen { in_flight: false, last: Some(result) });
            }
        }
    }

    /// What has become of a preparation: `keep` stores what was made and says whether it is there now.
    fn prepared<T>(
        &mut self,
        what: &'static str,
        result: Result<T, steps::Fault>,
        keep: impl FnOnce(&mut Self, T) -> bool,
    ) -> Preparation {
        match result {
            Ok(made) => {
                self.tries.remove(what);
                if keep(self, made) { Preparation::Ready } else { Preparation::Missing }
            }
            Err(fault) => {
                tracing::warn!(instance = %self.id, what, reason = fault.message, "a preparation failed");
                let tries = self.tries.entry(what).or_insert(0);
                *tries += 1;
                Preparation::Failed(trouble(fault, self.clock.now(), *tries))
            }
        }
    }

    /// Asks the runtime how the containers are.
    async fn look(&mut self) {
        let running: Vec<Name> = self
            .seen
            .containers
            .iter()
            .filter(|(_, seen)| matches!(seen, ContainerSeen::Running { .. }))
            .map(|(name, _)| name.clone())
            .collect();
        for name in running {
            let id = ContainerId { instance: self.id.clone(), container: name.clone() };
            match self.machine.runtime.inspect(&id).await {
                Ok(Some(state)) => drop(self.seen.containers.insert(name, container_seen(&state))),
                Ok(None) => drop(self.seen.containers.remove(&name)),
                Err(error) => tracing::warn!(container = %id, %error, "cannot look at a container"),
            }
        }
    }
}

fn container_seen(state: &ContainerState) -> ContainerSeen {
    match state.phase {
        ContainerPhase::Running => ContainerSeen::Running { attempt: state.attempt, since: state.started_at },
        ContainerPhase::Exited(exit) => ContainerSeen::Exited {
            attempt: state.attempt,
            since: state.started_at,
            code: exit.code,
            out_of_memory: exit.out_of_memory,
            at: exit.at,
        },
    }
}

fn trouble(fault: steps::Fault, at: Timestamp, tries: u32) -> Trouble {
    Trouble { message: fault.message, temporary: fault.temporary, at, tries }
}
