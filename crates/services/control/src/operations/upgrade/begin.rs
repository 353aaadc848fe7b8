//! Beginning an upgrade: what has to be so before anything is changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::ids::NodeId;
use univrs_model::operation::{Operation, OperationStatus, OperationView};
use univrs_ports::images::Archive;
use univrs_ports::programs::{Program, ProgramError, Programs};
use univrs_ports::store::{MemberId, Role};

use crate::error::Error;
use crate::handle::Control;
use crate::operations::begin::{operation, waiting};
use crate::operations::faces::view;
use crate::operations::upgrade::order::{Seat, waves};
use crate::operations::upgrade::{KIND, Mover, Parameters};
use crate::plans::{Change, ChangeAction, Plan};

/// How long a node has to show that it works with the program, where nobody said, in seconds.
const SECONDS: u64 = 120;
/// The longest that may be said.
const MOST_SECONDS: u64 = 3600;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeSpec {
    /// Digest of a program that the node which is asked has.
    pub digest: String,
    /// How long each node has to show that it works with it, in seconds.
    pub seconds: Option<u64>,
    /// Whether the feature level stays as it is, so that there is a way back.
    pub keep_level: bool,
}

impl Control {
    /// Takes in a program on this node, to be given to all by [`Control::upgrade_cluster`].
    ///
    /// # Errors
    /// When it is no such program, the disk fails, or the caller may not.
    pub async fn take_in_program(&self, caller: &Caller, file: Archive) -> Result<Program, Error> {
        let summary = "sent a program for nodes".to_owned();
        let work = self.kept_programs()?.take_in(file);
        self.audited(caller, Action::NodeWrite, "node", summary, work).await?.map_err(unfit)
    }

    /// What taking in this program would do. It is read, and not run.
    ///
    /// # Errors
    /// As [`Control::take_in_program`].
    pub async fn plan_program(&self, caller: &Caller, file: Archive) -> Result<Plan, Error> {
        self.allow(caller, Action::NodeWrite, "node")?;
        let program = self.kept_programs()?.check(file).await.map_err(unfit)?;
        let change = Change {
            action: ChangeAction::Create,
            kind: "program".to_owned(),
            name: program.digest.clone(),
            before: Value::Null,
            after: json!(program),
        };
        let summary = format!("takes in the program {} for nodes", program.digest);
        self.show(caller, Action::NodeWrite, "node", summary, vec![change])
    }

    fn kept_programs(&self) -> Result<&dyn Programs, Error> {
        self.programs.as_deref().ok_or_else(|| {
            refuse("this node keeps no programs", "ask the API of a validator (`univrs node ls`)")
        })
    }

    /// Begins to give every node another program.
    ///
    /// # Errors
    /// When a node is lost or does not answer, another upgrade is under way, the program is too old for the state, or
    /// the caller may not.
    pub async fn upgrade_cluster(&self, caller: &Caller, spec: UpgradeSpec) -> Result<OperationView, Error> {
        let allowed_by = self.allow(caller, Action::NodeWrite, "node")?;
        let (Some(programs), Some(admin)) = (&self.programs, &self.admin) else {
            let hint = "ask the API of a validator (`univrs node ls`)";
            return Err(refuse("this node does not hold the state", hint));
        };
        let state = self.mirror.state();
        let mut known = state.operations.values();
        if let Some(known) =
            known.find(|known| known.kind == KIND && known.status == OperationStatus::Running)
        {
            if Parameters::of(known).is_ok_and(|known| known.to == spec.digest) && known.org == caller.org {
                // Asked again, because the first answer was lost.
                return Ok(view(known));
            }
            let hint = format!("`univrs operation watch {}` waits for its end", known.id);
            return Err(refuse("another upgrade is under way", &hint));
        }
        if let Some(lost) = state.nodes.values().find(|node| !state.nodes_alive.contains(&node.id)) {
            let hint = "bring it back, or remove it with `univrs node rm`";
            return Err(refuse(&format!("node {} is lost", lost.name), hint));
        }
        let mut running = BTreeMap::new();
        let mut found = None;
        let asked = state
            .nodes
            .values()
            .map(|node| async { (node.id.clone(), node.name.clone(), programs.standing(&node.id).await) });
        for (node, name, standing) in futures::future::join_all(asked).await {
            let standing = standing.map_err(|error| {
                refuse(&format!("node {name} cannot be upgraded: {error}"), "every node has to take part")
            })?;
            if standing.on_trial {
                return Err(refuse(&format!("node {name} is trying a program"), "try again in a moment"));
            }
            if let Some(program) = standing.held.into_iter().find(|held| held.digest == spec.digest) {
                found = Some((program, node.clone()));
            }
            running.insert(node, standing.running.digest);
        }
        // Whichever node it was sent to: where many serve the API, it need not be this one.
        let (program, source) = found.ok_or_else(|| Error::NotFound {
            kind: "program",
            name: spec.digest.clone(),
            near: None,
        })?;
        let status = admin.admin.status().await?;
        if program.feature_level < status.feature_level {
            return Err(refuse(
                &format!(
                    "the state is at feature level {} and version {} understands up to {}: a level is never lowered",
                    status.feature_level, program.version, program.feature_level
                ),
                "take a program that understands the level, or restore a backup from before it was raised",
            ));
        }
        let mut seats = Vec::new();
        for node in state.nodes.values() {
            let id = state.members.get(&node.id).and_then(|member| member.member).map(MemberId);
            let known = status.members.iter().find(|member| Some(member.id) == id);
            seats.push(Seat {
                node: node.id.clone(),
                name: node.name.clone(),
                location: node.location.clone(),
                votes: known.is_some_and(|member| member.role == Role::Voter),
                leads: known.is_some_and(|member| status.leader == Some(member.id)),
            });
        }
        let raise = !spec.keep_level && program.feature_level > status.feature_level;
        let parameters = parameters(&program, &spec, source, seats, &running);
        let operation = self.upgrade_operation(caller, &parameters, raise)?;
        let order: Vec<String> = parameters.waves.iter().map(|wave| named(wave)).collect();
        let summary = format!("began to upgrade to {}, in this order: {}", program.version, order.join("; "));
        self.begin_on_nodes(caller, allowed_by, "node".to_owned(), summary, &operation).await
    }

    fn upgrade_operation(
        &self,
        caller: &Caller,
        parameters: &Parameters,
        raise: bool,
    ) -> Result<Operation, Error> {
        let now = self.clock.now();
        let count = parameters.waves.len().max(1);
        let mut steps = vec![waiting("give the program to every node", "fetch", 0)];
        steps.extend(parameters.waves.iter().enumerate().map(|(index, wave)| {
            let progress = u8::try_from(10 + index * 85 / count).unwrap_or(95);
            waiting(format!("change the program of {}", named(wave)), named(wave), progress)
        }));
        if raise {
            steps.push(waiting("raise the feature level", "raise", 97));
        }
        let words = serde_json::to_value(parameters).unwrap_or_default();
        let serde_json::Value::Object(words) = words else {
            return Err(refuse("the upgrade cannot be written down", "report this"));
        };
        Ok(operation(caller, KIND, parameters.version.clone(), words, steps, now))
    }
}

fn parameters(
    program: &Program,
    spec: &UpgradeSpec,
    source: NodeId,
    seats: Vec<Seat>,
    running: &BTreeMap<NodeId, String>,
) -> Parameters {
    let mover = |seat: Seat| Mover {
        from: running.get(&seat.node).cloned().unwrap_or_default(),
        node: seat.node,
        name: seat.name,
    };
    Parameters {
        to: program.digest.clone(),
        version: program.version.clone(),
        feature_level: program.feature_level,
        seconds: spec.seconds.unwrap_or(SECONDS).clamp(5, MOST_SECONDS),
        source,
        waves: waves(seats).into_iter().map(|wave| wave.into_iter().map(mover).collect()).collect(),
    }
}

fn named(wave: &[Mover]) -> String {
    wave.iter().map(|mover| mover.name.to_string()).collect::<Vec<_>>().join(", ")
}

/// What is wrong with a program that was sent.
fn unfit(error: ProgramError) -> Error {
    match error {
        error @ ProgramError::NotAProgram { .. } => {
            let hint = "send a `univrs` that was built for the machines of this cluster";
            Error::Invalid(vec![FieldError::new("body", error.to_string()).hint(hint)])
        }
        ProgramError::Storage { doing, source } => refuse(
            &format!("cannot {doing} the program: {source}"),
            "make room on the disk of the data directory",
        ),
        error => refuse(&error.to_string(), "send it again"),
    }
}

fn refuse(reason: &str, hint: &str) -> Error {
    Error::Conflict {
        what: "the cluster cannot be upgraded".to_owned(),
        reason: reason.to_owned(),
        hint: Some(hint.to_owned()),
    }
}
