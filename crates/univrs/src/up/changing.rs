//! Stopping in order to run another program, and showing that this one works.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use univrs_control::{LocalControlPlane, Mirror};
use univrs_model::Timestamp;
use univrs_model::ids::NodeId;
use univrs_model::node::RuntimeKind;
use univrs_ports::programs::{Order, Outcome};
use univrs_ports::runtime::{ContainerPhase, Runtime};
use univrs_ports::store::ClusterAdmin;
use univrs_store::RaftStore;

use crate::program::change::Change;
use crate::program::copies::Copies;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long the node counts as alive beyond the time that the program has: stopping, and starting once more.
const MARGIN: Duration = Duration::from_secs(60);
/// How long saying so may take; a node that cannot say so stops all the same.
const SAY: Duration = Duration::from_secs(10);
/// Containers that restart by themselves are not the program's doing: those that did so this lately are left out.
const CALM: Duration = Duration::from_secs(600);

/// Why the daemon ends.
pub(super) enum Ended {
    /// A person or a service manager said so; `down` when everything is to be removed.
    Told { down: bool },
    /// It cannot go on without this part of it.
    Broken { part: &'static str, reason: String },
    /// It is to run another program.
    Ordered(Order),
    /// Its trial is over.
    Tried { worked: Result<(), String> },
}

/// What comes after the daemon.
pub(super) enum Next {
    Nothing,
    Change(Box<Change>),
    /// The same program, as it could not be changed.
    Again,
    Broken {
        part: &'static str,
        reason: String,
    },
    DoesNotWork(String),
}

/// What a trial looks at.
pub(super) struct Trial {
    pub(super) copies: Arc<Copies>,
    pub(super) mirror: Mirror,
    pub(super) runtime: Option<Arc<dyn Runtime>>,
    pub(super) copy: Option<RaftStore>,
    pub(super) node: NodeId,
}

impl Trial {
    /// Returns when it is known whether this program works; never where it is on no trial. That it takes too long is
    /// for the guard to say.
    pub(super) async fn end(&self) -> Result<(), String> {
        let Some(change) = self.copies.trial() else { return std::future::pending().await };
        let version = crate::program::release::own().version;
        let mut last = String::new();
        loop {
            match self.works(&version).await {
                Ok(()) => return self.containers_run_on(&change).await,
                Err(reason) if reason != last => {
                    tracing::info!(reason, "on trial");
                    last = reason;
                }
                Err(_) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether the node is itself again: in the state with this version and heard, its copy led by somebody.
    async fn works(&self, version: &str) -> Result<(), String> {
        if let Some(copy) = &self.copy {
            let status = copy.status().await.map_err(|error| error.to_string())?;
            if status.leader.is_none() {
                return Err("nobody leads the state".to_owned());
            }
        }
        let state = self.mirror.state();
        let known = state.nodes.get(&self.node).is_some_and(|record| record.version == version);
        if !known || !state.nodes_alive.contains(&self.node) {
            return Err("this node has not made itself known yet".to_owned());
        }
        Ok(())
    }

    /// Whether what ran before runs on. What has ended by itself since has, and is no fault.
    async fn containers_run_on(&self, change: &Change) -> Result<(), String> {
        let now = self.running().await?;
        for (id, since) in &change.containers {
            match now.get(id) {
                Some(started) if started != since => {
                    return Err(format!("container {id}, which ran since {since}, was started anew"));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// The containers that run, by name, and since when.
    async fn running(&self) -> Result<BTreeMap<String, Timestamp>, String> {
        let Some(runtime) = self.runtime.as_ref().filter(|runtime| runtime.kind() != RuntimeKind::Simulated)
        else {
            // Simulated containers are part of the daemon.
            return Ok(BTreeMap::new());
        };
        let found = runtime.list().await.map_err(|error| error.to_string())?.containers;
        let running = found.into_iter().filter(|container| container.phase == ContainerPhase::Running);
        Ok(running.map(|container| (container.id.to_string(), container.started_at)).collect())
    }

    /// Those of them that have to run on.
    ///
    /// # Errors
    /// When the runtime does not tell: then nobody could say afterwards whether they ran on.
    async fn calm(&self) -> Result<BTreeMap<String, Timestamp>, String> {
        let mut running = self.running().await?;
        let state = self.mirror.state();
        let restless = |id: &str| {
            state.assignments_on(&self.node).any(|assignment| {
                let seen = state.observations.get(&assignment.id);
                id.starts_with(assignment.id.as_str()) && seen.is_some_and(|seen| seen.restarts > 0)
            })
        };
        let now = Timestamp::now();
        running.retain(|id, since| {
            let lately = Duration::try_from(now.duration_since(*since)).is_ok_and(|age| age < CALM);
            !(lately && restless(id))
        });
        Ok(running)
    }
}

/// The last steps before the daemon ends. One that will be back says so: nobody is to replace what runs on. Answers for
/// how long it counts as alive then, if that was taken in.
pub(super) async fn leave(
    ended: Ended,
    trial: &Trial,
    control: &LocalControlPlane,
) -> (Next, Option<Duration>) {
    let (next, seconds) = match ended {
        Ended::Told { .. } => return (Next::Nothing, None),
        Ended::Broken { part, reason } => return (Next::Broken { part, reason }, None),
        Ended::Ordered(order) => {
            let seconds = order.seconds;
            let change = match trial.calm().await {
                Ok(running) => trial.copies.change(order, running).await.map_err(|error| error.to_string()),
                Err(error) => Err(format!("the containers cannot be listed: {error}")),
            };
            match change {
                Ok(change) => (Next::Change(Box::new(change)), seconds),
                Err(error) => {
                    tracing::error!(error, "the program cannot be changed; starting again with this one");
                    (Next::Again, seconds)
                }
            }
        }
        Ended::Tried { worked } => {
            let outcome = match &worked {
                Ok(()) => Outcome::Good,
                Err(reason) => Outcome::Returned { reason: reason.clone() },
            };
            if let Err(error) = trial.copies.judge(outcome) {
                return (Next::DoesNotWork(format!("how the trial went cannot be noted: {error}")), None);
            }
            match worked {
                Ok(()) => (Next::Nothing, 0),
                Err(reason) => (Next::DoesNotWork(reason), 0),
            }
        }
    };
    let (span, asked) = (Duration::from_secs(seconds) + MARGIN, tokio::time::Instant::now());
    let said = match tokio::time::timeout(SAY, control.away(&trial.node, span)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "others are not told that this node will be back");
            false
        }
        Err(_) => {
            tracing::warn!("others are not told in time that this node will be back");
            false
        }
    };
    // Counted from when it was asked for.
    (next, said.then(|| span.saturating_sub(asked.elapsed())))
}
