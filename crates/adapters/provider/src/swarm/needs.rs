//! What a workload waits for before it is made: others of its order that have to be well, or at their end.

use std::time::Duration;

use bollard::models::TaskState;
use univrs_docker::engine::Engine;
use univrs_model::workload::{DependencyCondition, WorkloadSpec};
use univrs_ports::provider::{Order, ProviderError};

use super::standing::{state, tasks};
use super::{SwarmProvider, desired};

/// How long one may take to become what another waits for.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(200);

impl SwarmProvider {
    /// Waits until what `spec` depends on is as it asks: a task counts as running when its check of health passes.
    pub(super) async fn needs(
        &self,
        engine: &Engine,
        order: &Order,
        spec: &WorkloadSpec,
    ) -> Result<(), ProviderError> {
        for need in &spec.depends_on {
            let wanted = match need.condition {
                DependencyCondition::Started => continue,
                DependencyCondition::Healthy => TaskState::RUNNING,
                DependencyCondition::Completed => TaskState::COMPLETE,
            };
            if !order.workloads.iter().any(|other| other.name == need.workload) {
                continue;
            }
            let service = desired::service(&order.resource.org, &need.workload);
            let until = tokio::time::Instant::now() + PATIENCE;
            loop {
                let known = tasks(engine, &service).await?;
                if known.iter().any(|task| state(task) == Some(wanted)) {
                    break;
                }
                let failed = known.iter().any(|task| state(task) == Some(TaskState::FAILED));
                if failed && need.condition == DependencyCondition::Completed {
                    let reason = format!("`{}` failed, and `{}` comes after it", need.workload, spec.name);
                    return Err(ProviderError::lasting(reason));
                }
                if tokio::time::Instant::now() > until {
                    let reason = format!("`{}` waits for `{}`", spec.name, need.workload);
                    return Err(ProviderError::temporary(reason));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }
}
