//! Another size for a resource. What fails is taken back to the size before.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value};
use univrs_model::operation::Operation;
use univrs_model::resource::{Deployment, Resource, ResourceStatus};

use super::{Kind, Parts, Told};
use crate::operations::{OperationKind, StepError};

pub(super) const STEPS: &[Told] = &[
    ("write its new size", "configure", 0),
    ("change it through its provider", "provision", 40),
    ("wait until it serves", "verify", 80),
    ("hand it over", "complete", 100),
];

/// A size as the operation keeps it.
#[derive(Clone, Deserialize)]
pub(super) struct Size {
    pub(super) parameters: Map<String, Value>,
    pub(super) deployment: Deployment,
}

/// Scales resources.
pub(super) struct Scale(pub(super) Parts);

pub(super) fn size(operation: &Operation, which: &str) -> Result<Size, StepError> {
    let known = operation.parameters.get(which).cloned().unwrap_or_default();
    serde_json::from_value(known)
        .map_err(|error| StepError::lasting(format!("the operation does not say its size {which}: {error}")))
}

impl Scale {
    async fn write(&self, operation: &Operation, which: &str) -> Result<(), StepError> {
        let resource = self.0.resource(operation)?;
        let size = size(operation, which)?;
        let change = |resource: &mut Resource| {
            resource.parameters.clone_from(&size.parameters);
            resource.deployment.clone_from(&size.deployment);
            Vec::new()
        };
        self.0.control.change_resource(&resource, None, change).await?;
        Ok(())
    }

    async fn provide(&self, operation: &Operation, which: &str) -> Result<(), StepError> {
        let mut resource = Resource::clone(&self.0.resource(operation)?.value);
        resource.deployment = size(operation, which)?.deployment;
        Ok(self.0.provider(&resource)?.scale(&self.0.order(operation, &resource)?).await?)
    }
}

#[async_trait]
impl OperationKind for Scale {
    fn name(&self) -> &'static str {
        Kind::Scale.name()
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        match step {
            0 => self.write(operation, "after").await,
            1 => self.provide(operation, "after").await,
            2 => self.0.serving(&*self.0.resource(operation)?).await.map(drop),
            _ => Ok(self.0.set_status(&*self.0.resource(operation)?, ResourceStatus::Active, "").await?),
        }
    }

    async fn verify(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let resource = self.0.resource(operation)?;
        let holds = match step {
            0 => resource.deployment == size(operation, "after")?.deployment,
            3 => resource.status != ResourceStatus::Maintenance,
            _ => true,
        };
        if holds { Ok(()) } else { Err(StepError::temporary("what was written is not there")) }
    }

    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        if self.0.known(operation).is_none() {
            return Ok(());
        }
        match step {
            0 => {
                self.write(operation, "before").await?;
                Ok(self.0.set_status(&*self.0.resource(operation)?, ResourceStatus::Active, "").await?)
            }
            1 => self.provide(operation, "before").await,
            _ => Ok(()),
        }
    }
}
