//! Reaching into instances: logs, commands, connections.

use futures::stream::BoxStream;
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::ids::matches_prefix;
use univrs_model::instance::{Instance, Phase};
use univrs_model::name::Name;
use univrs_ports::node_access::Connection;
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, LogLine, LogQuery, RuntimeError};

use crate::error::Error;
use crate::handle::Control;
use crate::state::State;
use crate::workloads::find;

/// Which containers of a workload are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only this instance: its id or a unique prefix.
    pub instance: Option<String>,
    /// Only this container.
    pub container: Option<Name>,
}

/// The lines of one container.
pub struct ContainerLogs {
    /// Which container.
    pub id: ContainerId,
    /// Its lines.
    pub lines: BoxStream<'static, Result<LogLine, RuntimeError>>,
}

impl Control {
    /// The logs of a workload's containers, ended instances included unless lines are to be followed.
    ///
    /// # Errors
    /// When there is no such workload, instance or container, or the caller may not.
    pub async fn logs(
        &self,
        caller: &Caller,
        wanted: &str,
        selection: &Selection,
        query: LogQuery,
    ) -> Result<Vec<ContainerLogs>, Error> {
        self.allow(caller, Action::WorkloadLogs, &format!("workload/{wanted}"))?;
        let state = self.mirror.state();
        let mut found = Vec::new();
        for (instance, containers) in select(&state, caller, wanted, selection)? {
            let Some(node) = instance.assignment.node.clone() else { continue };
            for container in containers {
                let id = ContainerId { instance: instance.assignment.id.clone(), container };
                match self.access.logs(&node, &id, query).await {
                    Ok(lines) => found.push(ContainerLogs { id, lines }),
                    // An instance that has not started, or whose remains were removed, has no logs.
                    Err(univrs_ports::node_access::AccessError::Runtime(RuntimeError::NotFound {
                        ..
                    })) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(found)
    }

    /// Runs a command in a running container: the selected one, or the first container of the newest instance.
    ///
    /// # Errors
    /// When nothing of it runs, or the caller may not.
    pub async fn exec(
        &self,
        caller: &Caller,
        wanted: &str,
        selection: &Selection,
        spec: ExecSpec,
    ) -> Result<ExecSession, Error> {
        self.allow(caller, Action::WorkloadExec, &format!("workload/{wanted}"))?;
        let state = self.mirror.state();
        let (instance, container) = running(&state, caller, wanted, selection)?;
        let id = ContainerId { instance: instance.assignment.id.clone(), container };
        let node = instance.assignment.node.as_ref().ok_or_else(|| nothing_runs(wanted))?;
        Ok(self.access.exec(node, &id, spec).await?)
    }

    /// Opens a TCP connection to a port of a running instance.
    ///
    /// # Errors
    /// As [`Control::exec`].
    pub async fn connect(
        &self,
        caller: &Caller,
        wanted: &str,
        selection: &Selection,
        port: u16,
    ) -> Result<Box<dyn Connection>, Error> {
        self.allow(caller, Action::WorkloadExec, &format!("workload/{wanted}"))?;
        let state = self.mirror.state();
        let (instance, _) = running(&state, caller, wanted, selection)?;
        let node = instance.assignment.node.as_ref().ok_or_else(|| nothing_runs(wanted))?;
        let address = instance.observation.as_ref().and_then(|seen| seen.address.as_deref());
        let address = address.ok_or_else(|| nothing_runs(wanted))?;
        Ok(self.access.connect(node, address, port).await?)
    }
}

fn nothing_runs(workload: &str) -> Error {
    Error::Conflict {
        what: format!("workload `{workload}` cannot be reached"),
        reason: "no instance of it runs".to_owned(),
        hint: Some(format!("see `univrs workload explain {workload}`")),
    }
}

fn running(
    state: &State,
    caller: &Caller,
    wanted: &str,
    selection: &Selection,
) -> Result<(Instance, Name), Error> {
    select(state, caller, wanted, selection)?
        .into_iter()
        .filter(|(instance, _)| instance.phase() == Phase::Running && instance.reachable)
        .max_by_key(|(instance, _)| (instance.serves(), instance.assignment.created_at))
        .and_then(|(instance, containers)| Some((instance, containers.into_iter().next()?)))
        .ok_or_else(|| nothing_runs(wanted))
}

fn select(
    state: &State,
    caller: &Caller,
    wanted: &str,
    selection: &Selection,
) -> Result<Vec<(Instance, Vec<Name>)>, Error> {
    let (key, _) = find(state, caller, wanted)?;
    let mut instances = state.instances_of(&key);
    if let Some(instance) = &selection.instance {
        instances.retain(|candidate| matches_prefix(candidate.assignment.id.as_str(), instance));
        if instances.is_empty() {
            return Err(Error::NotFound { kind: "instance", name: instance.clone(), near: None });
        }
    }
    let mut selected = Vec::new();
    for instance in instances {
        let spec = state
            .rollouts
            .get(&key)
            .and_then(|rollout| rollout.revision(instance.assignment.workload_revision));
        let mut containers: Vec<Name> = spec
            .map(|revision| revision.spec.containers().into_iter().map(|c| c.name).collect())
            .unwrap_or_default();
        if let Some(container) = &selection.container {
            containers.retain(|candidate| candidate == container);
            if containers.is_empty() {
                return Err(Error::NotFound { kind: "container", name: container.to_string(), near: None });
            }
        }
        selected.push((instance, containers));
    }
    Ok(selected)
}
