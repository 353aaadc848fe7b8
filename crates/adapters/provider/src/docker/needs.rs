//! What a workload waits for before it is made: others of its order that have to be well, or at their end.

use std::time::Duration;

use bollard::query_parameters::InspectContainerOptions;
use univrs_docker::engine::{Engine, NOT_FOUND, unless};
use univrs_model::workload::{Dependency, DependencyCondition, WorkloadSpec};
use univrs_ports::provider::{Order, ProviderError};

use super::{DockerProvider, ID};
use crate::engine::labels;
use crate::engine::link::failed;
use crate::engine::things::{self, Thing};

/// How long one may take to become what another waits for.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(200);

/// How far a dependency is.
enum Far {
    Met,
    Waits(String),
}

impl DockerProvider {
    /// Waits until what `spec` depends on is as it asks. Order alone does not say more than that it was begun.
    pub(super) async fn needs(
        &self,
        engine: &Engine,
        order: &Order,
        spec: &WorkloadSpec,
    ) -> Result<(), ProviderError> {
        let of_order = |need: &&Dependency| order.workloads.iter().any(|other| other.name == need.workload);
        for need in spec.depends_on.iter().filter(of_order) {
            let until = tokio::time::Instant::now() + PATIENCE;
            while let Far::Waits(reason) = look(engine, order, spec, need).await? {
                if tokio::time::Instant::now() > until {
                    return Err(ProviderError::temporary(format!("`{}` waits: {reason}", spec.name)));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }
}

async fn look(
    engine: &Engine,
    order: &Order,
    spec: &WorkloadSpec,
    need: &Dependency,
) -> Result<Far, ProviderError> {
    if need.condition == DependencyCondition::Started {
        return Ok(Far::Met);
    }
    let of_it = |thing: &Thing| {
        thing.label(labels::WORKLOAD) == need.workload.as_str()
            && thing.labels.contains_key(labels::CONTAINER)
    };
    for thing in things::containers(engine, ID, &order.resource).await?.into_iter().filter(of_it) {
        let waits = |what: &str| Ok(Far::Waits(format!("`{}` {what}", need.workload)));
        match need.condition {
            DependencyCondition::Started => {}
            DependencyCondition::Healthy => {
                let sick =
                    ["(health: starting)", "(unhealthy)"].iter().any(|sign| thing.status.contains(sign));
                if sick || !thing.runs() {
                    return waits(&format!("is not well: {}", thing.status));
                }
            }
            DependencyCondition::Completed => {
                let found =
                    engine.docker().inspect_container(&thing.id, None::<InspectContainerOptions>).await;
                let found = unless(&[NOT_FOUND], found).map_err(failed(engine, "look at a container"))?;
                let state = found.and_then(|found| found.state).unwrap_or_default();
                let ended = state.status.is_some_and(|status| status.to_string() == "exited");
                match state.exit_code.filter(|_| ended) {
                    None => return waits("has not ended"),
                    Some(0) => {}
                    Some(code) => {
                        return Err(ProviderError::lasting(format!(
                            "`{}` ended with code {code}, and `{}` comes after it",
                            need.workload, spec.name
                        )));
                    }
                }
            }
        }
    }
    Ok(Far::Met)
}
