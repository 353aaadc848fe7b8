//! How a resource is doing, read off the swarm.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{Task, TaskState};
use bollard::query_parameters::ListTasksOptionsBuilder;
use univrs_docker::engine::Engine;
use univrs_model::workload::HealthCheck;
use univrs_ports::provider::{ProviderError, ResourceRef, Standing};

use super::{ID, SwarmProvider, labels_of, services};
use crate::docker::standing::{called, check, life, unwell};
use crate::engine::labels::{self, Labels};
use crate::engine::link::failed;
use crate::engine::{probe, things};

impl SwarmProvider {
    /// How the services of a resource are doing. An engine that is away is why it does not serve.
    pub(super) async fn standing(&self, resource: &ResourceRef) -> Result<Standing, ProviderError> {
        match self.look(resource).await {
            Err(error @ ProviderError::Temporary { .. }) => {
                Ok(Standing::Waiting { reason: error.to_string() })
            }
            other => other,
        }
    }

    async fn look(&self, resource: &ResourceRef) -> Result<Standing, ProviderError> {
        let engine = self.ground.link.engine().await?;
        let all = services(&engine, resource).await?;
        let (mut there, mut wanted) = (BTreeSet::new(), BTreeSet::new());
        for service in &all {
            let known = labels_of(service);
            if labels::label(&known, labels::KIND) != "service" {
                continue;
            }
            let name = labels::label(&known, labels::WORKLOAD).to_owned();
            wanted.extend(labels::label(&known, labels::WORKLOADS).split(',').map(str::to_owned));
            there.insert(name.clone());
            let replicas =
                service.spec.as_ref().and_then(|spec| spec.mode.as_ref()?.replicated.as_ref()?.replicas);
            let latest = labels::label(&known, labels::DIGEST);
            let tasks = tasks(&engine, service.id.as_deref().unwrap_or_default()).await?;
            let running: Vec<&Task> =
                tasks.iter().filter(|task| state(task) == Some(TaskState::RUNNING)).collect();
            let updating = service.update_status.as_ref().and_then(|update| update.state);
            let updating = updating.is_some_and(|state| state.to_string() == "updating");
            if updating || (running.len() as i64) < replicas.unwrap_or(1) {
                tracing::debug!(workload = name, digest = latest, "a service is not whole yet");
                return Ok(Standing::Waiting { reason: format!("{name}: {}", why(&tasks)) });
            }
            if !labels::label(&known, labels::PARTS).is_empty() {
                if let Some(reason) = self.group_lacks(&engine, resource, &name, &known, &running).await? {
                    return Ok(Standing::Waiting { reason });
                }
                continue;
            }
            let Ok(check) = serde_json::from_str::<HealthCheck>(labels::label(&known, labels::CHECK)) else {
                continue;
            };
            for task in running {
                let container = task.status.as_ref().and_then(|status| status.container_status.as_ref());
                let pid = container.and_then(|container| i32::try_from(container.pid?).ok()).unwrap_or(0);
                let id = container.and_then(|container| container.container_id.as_deref()).unwrap_or("-");
                let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
                if !groups.contains(id) {
                    return Ok(Standing::Waiting { reason: format!("{name}: it has just ended") });
                }
                if let Err(reason) = probe::probe(pid, check.clone()).await {
                    return Ok(Standing::Waiting { reason: format!("{name}: {reason}") });
                }
            }
        }
        if there.is_empty() {
            return Ok(Standing::Absent);
        }
        if let Some(missing) = wanted.difference(&there).next() {
            return Ok(Standing::Waiting { reason: format!("{missing} is not there") });
        }
        Ok(Standing::Serving { host: self.ground.options.host.clone() })
    }
}

impl SwarmProvider {
    /// Why a group does not serve, whose network is there.
    async fn group_lacks(
        &self,
        engine: &Engine,
        resource: &ResourceRef,
        workload: &str,
        known: &Labels,
        running: &[&Task],
    ) -> Result<Option<String>, ProviderError> {
        let holders: BTreeSet<&str> = running.iter().filter_map(|task| container_of(task)).collect();
        let mut members = things::containers(engine, ID, resource).await?;
        members.retain(|thing| {
            thing.label(labels::WORKLOAD) == workload && thing.labels.contains_key(labels::CONTAINER)
        });
        let parts = labels::label(known, labels::PARTS).split_once('/');
        let parts =
            parts.and_then(|(one, other)| Some(one.parse::<usize>().ok()? * other.parse::<usize>().ok()?));
        if members.len() < parts.unwrap_or(1) {
            return Ok(Some(format!("{workload}: {} of its containers are there", members.len())));
        }
        for thing in &members {
            if !holders.contains(thing.label(labels::HOLDER)) {
                return Ok(Some(format!("{} has lost its network", called(thing))));
            }
            if let Some(reason) = unwell(thing) {
                return Ok(Some(reason));
            }
            if thing.labels.contains_key(labels::CHECK) {
                let life = life(engine, thing).await?;
                if let Err(reason) = check(thing, life.pid).await {
                    return Ok(Some(format!("{}: {reason}", called(thing))));
                }
            }
        }
        Ok(None)
    }
}

/// The container of a task.
fn container_of(task: &Task) -> Option<&str> {
    task.status.as_ref()?.container_status.as_ref()?.container_id.as_deref()
}

/// The tasks of a service that the swarm wants to run, or wanted.
pub(super) async fn tasks(engine: &Engine, service: &str) -> Result<Vec<Task>, ProviderError> {
    let filters = HashMap::from([("service", vec![service])]);
    let options = ListTasksOptionsBuilder::new().filters(&filters).build();
    let mut tasks = engine.docker().list_tasks(Some(options)).await.map_err(failed(engine, "list tasks"))?;
    tasks.sort_by_key(|task| std::cmp::Reverse(task.version.as_ref().and_then(|version| version.index)));
    Ok(tasks)
}

pub(super) fn state(task: &Task) -> Option<TaskState> {
    task.status.as_ref()?.state
}

/// Why a service does not run: the newest failure, or what it is doing.
fn why(tasks: &[Task]) -> String {
    let said = |task: &Task| {
        task.status.as_ref().and_then(|status| status.err.clone()).filter(|err| !err.is_empty())
    };
    match tasks.iter().find_map(said) {
        Some(error) => error,
        None => tasks
            .first()
            .and_then(state)
            .map_or("waiting for the swarm".to_owned(), |state| state.to_string()),
    }
}
