//! A replica takes the place of what it follows: a job lets it, then both get their new parts to play.
//!
//! Once the job has succeeded there is no way back: what was followed may lack what the replica has been told since.
//! So nothing later is undone; a change that was cut off there goes on, or leaves its shape for the loop that watches.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use univrs_model::operation::Operation;
use univrs_model::resource::{Resource, ResourceStatus};
use univrs_ports::provider::Order;
use univrs_template::JobValues;

use super::scale::size;
use super::{Kind, Parts, Told};
use crate::operations::{OperationKind, StepError};
use crate::resources::reference;

pub(super) const STEPS: &[Told] = &[
    ("look for its replica", "init", 0),
    ("let the replica take over", "provision", 20),
    ("write who leads now", "configure", 50),
    ("give all parts their new roles", "provision", 60),
    ("hand it over", "complete", 100),
];

/// How long the parts may take before it is handed over as it is: what was lost need not come back at once.
const SETTLING: Duration = Duration::from_secs(60);

/// Promotes replicas.
pub(super) struct Promote(pub(super) Parts);

impl Promote {
    async fn run(&self, operation: &Operation, resource: &Resource) -> Result<(), StepError> {
        let Some(promotion) = &resource.deployment.promote else {
            return Err(StepError::lasting(format!("the template {} has no replica", resource.template)));
        };
        if size(operation, "after")?.parameters.get(&promotion.parameter)
            != Some(&serde_json::json!(promotion.becomes))
        {
            return Err(StepError::lasting("it was promoted meanwhile; begin a new one"));
        }
        let about = JobValues { backup: "", keep: 0, to_time: "", target: &BTreeMap::new() };
        let job = univrs_template::job(&promotion.job, &resource.id, about).map_err(StepError::lasting)?;
        let order = Order {
            resource: reference(resource),
            operation: operation.id.clone(),
            workloads: vec![job],
            secrets: self.0.control.open_secrets(resource)?,
        };
        let outcome = self.0.provider(resource)?.run_job(&order).await?;
        let last = outcome.last_lines.last().map_or("the job failed and said nothing", String::as_str);
        if outcome.succeeded { Ok(()) } else { Err(StepError::lasting(last)) }
    }
}

#[async_trait]
impl OperationKind for Promote {
    fn name(&self) -> &'static str {
        Kind::Promote.name()
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let resource = self.0.resource(operation)?;
        match step {
            0 => self.0.provider(&resource).map(drop),
            1 => self.run(operation, &resource).await,
            2 => {
                let size = size(operation, "after")?;
                let change = |resource: &mut Resource| {
                    resource.parameters.clone_from(&size.parameters);
                    resource.deployment.clone_from(&size.deployment);
                    resource.facts.clear();
                    Vec::new()
                };
                self.0.control.change_resource(&resource, None, change).await?;
                Ok(())
            }
            3 => Ok(self.0.provider(&resource)?.scale(&self.0.order(operation, &resource)?).await?),
            _ => {
                if let Ok(Err(error)) = tokio::time::timeout(SETTLING, self.0.serving(&resource)).await {
                    tracing::warn!(resource = %resource.id, error = %error.error, "promoted, and not whole yet");
                }
                let hosts = self.0.hosts(&resource).await?;
                let change = |resource: &mut Resource| {
                    resource.hosts.clone_from(&hosts);
                    Vec::new()
                };
                self.0.control.change_resource(&resource, None, change).await?;
                Ok(self.0.set_status(&resource, ResourceStatus::Active, "").await?)
            }
        }
    }

    async fn verify(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        if step == 2 && self.0.resource(operation)?.deployment != size(operation, "after")?.deployment {
            return Err(StepError::temporary("what was written is not there"));
        }
        Ok(())
    }

    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        if step == 0
            && let Some(resource) = self.0.known(operation)
        {
            self.0.set_status(&resource, ResourceStatus::Active, "").await?;
        }
        Ok(())
    }
}
