//! Jobs beside a resource: run to their end, told, removed; their volumes stay.

use std::time::Duration;

use bollard::models::ContainerStateStatusEnum;
use bollard::query_parameters::InspectContainerOptions;
use univrs_docker::engine::{Engine, NOT_FOUND, unless};
use univrs_model::resource::OPERATION_LABEL;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{JobOutcome, Order, ProviderError};

use super::desired::Replica;
use super::{DockerProvider, ID};
use crate::engine::ground::possible;
use crate::engine::link::failed;
use crate::engine::things::{self, Thing};
use crate::engine::{labels, secret_files};

/// How long a job may take.
const JOB: Duration = Duration::from_secs(3600);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(100);
/// How many lines of a job are told.
const LINES: usize = 20;

impl DockerProvider {
    /// Runs a job to its end, or waits for the one of the same operation that runs already.
    pub(super) async fn job(
        &self,
        engine: &Engine,
        order: &Order,
        spec: &WorkloadSpec,
    ) -> Result<JobOutcome, ProviderError> {
        possible(spec)?;
        let operation = order.operation.as_str();
        let of_it = |thing: &Thing| thing.label(labels::WORKLOAD) == spec.name.as_str();
        let earlier = |thing: &Thing| of_it(thing) && thing.label(OPERATION_LABEL) != operation;
        // What an earlier operation left, because it was stopped, is no job of this one.
        things::remove_containers(engine, ID, &order.resource, earlier).await?;
        let known = things::containers(engine, ID, &order.resource).await?;
        let all = spec.containers().len();
        // One that was begun and not all of it made is begun anew; what has ended is not run a second time.
        let whole = |thing: &&Thing| {
            of_it(thing) && thing.labels.contains_key(labels::CONTAINER) && thing.status != "Created"
        };
        if known.iter().filter(whole).count() < all {
            self.replica(engine, &Replica { order, spec, index: 0 }).await?;
        }
        let name = labels::replica(&order.resource.org, &spec.name, 0);
        let mut succeeded = true;
        let mut last_lines = Vec::new();
        for container in spec.containers() {
            let name = format!("{name}.{}", container.name);
            succeeded &= ended(engine, &name).await? == 0;
            last_lines.extend(things::last_lines(engine, &name, LINES).await?);
        }
        things::remove_containers(engine, ID, &order.resource, of_it).await?;
        secret_files::remove(&self.ground.options.files(), &order.resource, Some(&spec.name))?;
        Ok(JobOutcome { succeeded, last_lines })
    }
}

/// Waits for the end of a container. Answers its code.
async fn ended(engine: &Engine, name: &str) -> Result<i64, ProviderError> {
    let until = tokio::time::Instant::now() + JOB;
    while tokio::time::Instant::now() < until {
        let found = engine.docker().inspect_container(name, None::<InspectContainerOptions>).await;
        let found = unless(&[NOT_FOUND], found).map_err(failed(engine, "look at a container"))?;
        let Some(state) = found.and_then(|found| found.state) else {
            return Err(ProviderError::temporary("the job was removed while it ran"));
        };
        if matches!(state.status, Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD)) {
            return Ok(state.exit_code.unwrap_or(-1));
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(ProviderError::temporary("the job has not ended"))
}
