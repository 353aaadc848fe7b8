//! Giving every node another program, one failure domain at a time.
//!
//! Each node tries the program itself and goes back by itself when it does not work with it. What is here decides who
//! is next and whether to go on: when one node went back, all that changed before it go back too.

mod begin;
mod order;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use univrs_model::ids::NodeId;
use univrs_model::name::Name;
use univrs_model::operation::Operation;
use univrs_ports::programs::{Order, Outcome, ProgramError, Programs};
use univrs_ports::store::{ClusterAdmin, MemberId, Role};

use crate::mirror::Mirror;
use crate::operations::{OperationKind, StepError};
use crate::state::State;

pub use begin::UpgradeSpec;

/// The name of the kind.
pub(crate) const KIND: &str = "cluster_upgrade";
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// What a node may take beyond the time it has to show that it works: stopping, and starting once more.
const MARGIN: Duration = Duration::from_secs(90);
/// How long the other voters are waited for before one of them is stopped.
const QUORUM: Duration = Duration::from_secs(60);
/// How long a node may take to fetch the program.
const FETCH: Duration = Duration::from_secs(600);

/// What the operation is about, in its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Parameters {
    /// Digest of the program.
    to: String,
    /// Its version.
    version: String,
    /// The feature level that it understands.
    feature_level: u32,
    /// How long a node has to show that it works with it, in seconds.
    seconds: u64,
    /// The node that has the program.
    source: NodeId,
    /// Who changes together, in order; step 1 is the first.
    waves: Vec<Vec<Mover>>,
}

/// A node that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mover {
    node: NodeId,
    name: Name,
    /// Digest of the program that it ran before.
    from: String,
}

/// What a step is.
enum Part<'a> {
    /// Every node fetches the program.
    Fetch,
    /// These change.
    Wave(&'a [Mover]),
    /// The feature level is raised.
    Raise,
}

impl Parameters {
    fn of(operation: &Operation) -> Result<Self, StepError> {
        serde_json::from_value(serde_json::Value::Object(operation.parameters.clone()))
            .map_err(|error| StepError::lasting(format!("the operation cannot be read: {error}")))
    }

    fn part(&self, step: usize) -> Part<'_> {
        match step.checked_sub(1).map(|wave| self.waves.get(wave)) {
            None => Part::Fetch,
            Some(Some(wave)) => Part::Wave(wave),
            Some(None) => Part::Raise,
        }
    }

    fn movers(&self) -> impl Iterator<Item = &Mover> {
        self.waves.iter().flatten()
    }
}

/// Upgrades the cluster.
pub struct ClusterUpgrade {
    mirror: Mirror,
    programs: Arc<dyn Programs>,
    admin: Arc<dyn ClusterAdmin>,
    own: NodeId,
}

impl ClusterUpgrade {
    /// Upgrades through these parts; this process is that of `own`.
    pub fn new(
        mirror: Mirror,
        programs: Arc<dyn Programs>,
        admin: Arc<dyn ClusterAdmin>,
        own: NodeId,
    ) -> Self {
        Self { mirror, programs, admin, own }
    }

    /// Every node has the program; those that have it first give it to those that fetch it later.
    async fn fetch(&self, parameters: &Parameters) -> Result<(), StepError> {
        let to = &parameters.to;
        let each = parameters.movers().map(|mover| async move {
            let begun = Instant::now();
            let mut asked = false;
            loop {
                match self.programs.standing(&mover.node).await {
                    Ok(standing) if standing.held.iter().any(|held| held.digest == *to) => return Ok(()),
                    Ok(standing) => {
                        if let (true, Some(reason)) = (asked, standing.fetch_failed) {
                            return Err(StepError::temporary(format!("node {}: {reason}", mover.name)));
                        }
                        if !asked {
                            let from = [parameters.source.clone(), self.own.clone()];
                            self.programs
                                .fetch(&mover.node, to, &from)
                                .await
                                .map_err(|error| of_node(&mover.name, &error))?;
                            asked = true;
                        }
                    }
                    Err(error) if begun.elapsed() > QUORUM => return Err(of_node(&mover.name, &error)),
                    Err(_) => {}
                }
                if begun.elapsed() > FETCH {
                    return Err(StepError::temporary(format!(
                        "node {} has not fetched the program within {} s",
                        mover.name,
                        FETCH.as_secs()
                    )));
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        try_join_all(each).await.map(drop)
    }

    /// Lets a node run `to`, and waits until it does and is itself again.
    async fn bring(&self, by: &str, mover: &Mover, to: &str, seconds: u64) -> Result<(), StepError> {
        let name = &mover.name;
        let begun = Instant::now();
        let patience = Duration::from_secs(seconds.saturating_mul(2)) + MARGIN;
        let mut may_stop = false;
        loop {
            let last = match self.programs.standing(&mover.node).await {
                Ok(standing) if standing.on_trial => "it tries the program".to_owned(),
                Ok(standing) if standing.running.digest == to => {
                    match self.is_back(&mover.node, &standing.running.version).await {
                        Ok(()) => return Ok(()),
                        Err(reason) => reason,
                    }
                }
                Ok(standing) => {
                    let tried = standing.tried.filter(|tried| tried.by == by && tried.to == to);
                    match tried.map(|tried| tried.outcome) {
                        Some(Outcome::Returned { reason }) => {
                            return Err(StepError::lasting(format!(
                                "node {name} went back to what it ran before: {reason}"
                            )));
                        }
                        Some(Outcome::Trying) => "it is about to try the program".to_owned(),
                        Some(Outcome::Good) | None => {
                            if !may_stop {
                                self.may_stop(mover).await?;
                                may_stop = true;
                            }
                            let order = Order { by: by.to_owned(), to: to.to_owned(), seconds };
                            match self.programs.change(&mover.node, &order).await {
                                Ok(()) => "it was told".to_owned(),
                                Err(error) => error.to_string(),
                            }
                        }
                    }
                }
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > patience {
                return Err(StepError::lasting(format!(
                    "node {name} did not come back within {} s: {last}",
                    patience.as_secs()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether a node is itself again: heard, with this version in the state, its instances heard of, its copy close.
    async fn is_back(&self, node: &NodeId, version: &str) -> Result<(), String> {
        let state = self.mirror.state();
        let said = state.nodes.get(node).is_some_and(|record| record.version == version);
        if !said || !state.nodes_alive.contains(node) {
            return Err("it has not said that it is there".to_owned());
        }
        let Some(id) = state.members.get(node).and_then(|member| member.member).map(MemberId) else {
            return Ok(());
        };
        let status = self.admin.status().await.map_err(|error| error.to_string())?;
        let Some(member) = status.members.iter().find(|member| member.id == id) else { return Ok(()) };
        let behind = member.matched.map(|matched| status.last_log_index.saturating_sub(matched));
        match behind {
            // Only who leads knows; whoever does not asks again after the next step.
            None | Some(0..=CLOSE) => Ok(()),
            Some(behind) => Err(format!("its copy of the state is {behind} entries behind")),
        }
    }

    /// Returns when a node may stop: the other voters are there, and somebody else leads.
    async fn may_stop(&self, mover: &Mover) -> Result<(), StepError> {
        let begun = Instant::now();
        let id =
            |state: &State| state.members.get(&mover.node).and_then(|member| member.member).map(MemberId);
        loop {
            let status =
                self.admin.status().await.map_err(|error| StepError::temporary(error.to_string()))?;
            let state = self.mirror.state();
            let own = id(&state);
            let voters: Vec<_> = status.members.iter().filter(|member| member.role == Role::Voter).collect();
            if !voters.iter().any(|voter| Some(voter.id) == own) {
                return Ok(());
            }
            let node_of =
                |voter: MemberId| state.members.values().find(|member| member.member == Some(voter.0));
            let others = || voters.iter().filter(|voter| Some(voter.id) != own);
            let silent = others()
                .find(|voter| node_of(voter.id).is_none_or(|node| !state.nodes_alive.contains(&node.node)));
            match silent {
                None if status.changing => {}
                None if status.leader == own && others().next().is_some() => {
                    let next = others().max_by_key(|voter| voter.matched).map(|voter| voter.id);
                    if let Some(next) = next {
                        self.admin
                            .transfer_leader(next)
                            .await
                            .map_err(|error| StepError::temporary(error.to_string()))?;
                        return Err(StepError::temporary(format!(
                            "node {} handed the lead over; whoever leads now goes on",
                            mover.name
                        )));
                    }
                }
                None => return Ok(()),
                Some(_) => {}
            }
            if begun.elapsed() > QUORUM {
                let who = silent.and_then(|voter| node_of(voter.id));
                let who =
                    who.map_or_else(|| "another voter".to_owned(), |node| format!("voter {}", node.name));
                return Err(StepError::temporary(format!(
                    "{who} is not heard; without node {} as well the majority would be in danger",
                    mover.name
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A copy of the state this close to the end of the log has caught up.
const CLOSE: u64 = 64;

fn of_node(name: &Name, error: &ProgramError) -> StepError {
    StepError::temporary(format!("node {name}: {error}"))
}

#[async_trait]
impl OperationKind for ClusterUpgrade {
    fn name(&self) -> &'static str {
        KIND
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let parameters = Parameters::of(operation)?;
        match parameters.part(step) {
            Part::Fetch => self.fetch(&parameters).await,
            Part::Wave(wave) => {
                let by = operation.id.as_str();
                let each = wave.iter().map(|mover| self.bring(by, mover, &parameters.to, parameters.seconds));
                // All of them come to an end: one that went back is no reason to leave another half way.
                let ended = futures::future::join_all(each).await;
                ended.into_iter().collect::<Result<Vec<()>, StepError>>().map(drop)
            }
            Part::Raise => {
                let raised = self.admin.raise_feature_level(parameters.feature_level).await;
                raised.map(drop).map_err(|error| StepError::temporary(error.to_string()))
            }
        }
    }

    async fn verify(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let parameters = Parameters::of(operation)?;
        match parameters.part(step) {
            // Seen by doing it, and whoever goes on needs it again.
            Part::Fetch => Ok(()),
            Part::Wave(wave) => {
                for mover in wave {
                    let standing = self.programs.standing(&mover.node).await;
                    let standing = standing.map_err(|error| of_node(&mover.name, &error))?;
                    if standing.running.digest != parameters.to || standing.on_trial {
                        return Err(StepError::temporary(format!(
                            "node {} does not run the program yet",
                            mover.name
                        )));
                    }
                }
                Ok(())
            }
            Part::Raise => {
                let status =
                    self.admin.status().await.map_err(|error| StepError::temporary(error.to_string()))?;
                if status.feature_level >= parameters.feature_level {
                    Ok(())
                } else {
                    Err(StepError::temporary("the feature level is not raised yet"))
                }
            }
        }
    }

    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let parameters = Parameters::of(operation)?;
        let Part::Wave(wave) = parameters.part(step) else {
            // Copies of a program that nobody runs are removed by the next upgrade; a level is never lowered.
            return Ok(());
        };
        let by = format!("{}-undo", operation.id);
        for mover in wave {
            self.bring(&by, mover, &mover.from, parameters.seconds).await?;
        }
        Ok(())
    }
}
