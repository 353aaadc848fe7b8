//! Jobs beside a resource: services that are not started again, run to their end, told, removed; their volumes stay.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::models::{Task, TaskState};
use univrs_docker::engine::Engine;
use univrs_model::resource::OPERATION_LABEL;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{JobOutcome, Order, ProviderError};

use super::standing::{state, tasks};
use super::{SwarmProvider, desired, find, labels_of, remove, secrets};
use crate::engine::ground::possible;
use crate::engine::{labels, things};

/// How long a job may take.
const JOB: Duration = Duration::from_secs(3600);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(100);
/// How many lines of a job are told.
const LINES: usize = 20;

impl SwarmProvider {
    /// Runs a job to its end, or waits for the one of the same operation that runs already.
    pub(super) async fn job(
        &self,
        engine: &Engine,
        node: &str,
        order: &Order,
        spec: &WorkloadSpec,
    ) -> Result<JobOutcome, ProviderError> {
        possible(spec)?;
        if spec.containers().len() != 1 {
            let reason =
                format!("the job `{}` has several containers, which a swarm cannot run together", spec.name);
            return Err(ProviderError::lasting(reason));
        }
        let (resource, workload) = (&order.resource, spec.name.as_str());
        let name = desired::service(&resource.org, &spec.name);
        let known = find(engine, &name).await?;
        let of_it = known.as_ref().map(labels_of);
        if let Some(known) = &of_it {
            labels::own(super::ID, resource, &name, known)?;
        }
        let earlier =
            of_it.is_some_and(|known| labels::label(&known, OPERATION_LABEL) != order.operation.as_str());
        if earlier {
            // What an earlier operation left, because it was stopped, is no job of this one.
            remove(engine, &name).await?;
            self.until_ended(engine, resource, Some(workload)).await?;
        }
        if earlier || known.is_none() {
            self.apply(engine, node, order, spec).await?;
        }
        let task = ended(engine, &name).await?;
        let container = task.status.as_ref().and_then(|status| status.container_status.as_ref());
        let mut last_lines = Vec::new();
        if let Some(id) =
            container.and_then(|container| container.container_id.as_deref()).filter(|id| !id.is_empty())
        {
            last_lines = things::last_lines(engine, id, LINES).await?;
        }
        let succeeded = state(&task) == Some(TaskState::COMPLETE);
        let said = task.status.and_then(|status| status.err).filter(|_| !succeeded && last_lines.is_empty());
        last_lines.extend(said);
        remove(engine, &name).await?;
        self.until_ended(engine, resource, Some(workload)).await?;
        secrets::sweep(engine, resource, Some(workload), &BTreeSet::new()).await?;
        Ok(JobOutcome { succeeded, last_lines })
    }
}

/// Waits for the end of a service that runs once.
async fn ended(engine: &Engine, service: &str) -> Result<Task, ProviderError> {
    let until = tokio::time::Instant::now() + JOB;
    while tokio::time::Instant::now() < until {
        let is_over = |task: &Task| {
            matches!(
                state(task),
                Some(
                    TaskState::COMPLETE
                        | TaskState::FAILED
                        | TaskState::REJECTED
                        | TaskState::ORPHANED
                        | TaskState::SHUTDOWN
                )
            )
        };
        if let Some(task) = tasks(engine, service).await?.into_iter().find(is_over) {
            return Ok(task);
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(ProviderError::temporary("the job has not ended"))
}
