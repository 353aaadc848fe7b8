//! New credentials for a resource. Both are good until everything has the new ones; then the old are taken back.

use std::time::Duration;

use async_trait::async_trait;
use univrs_model::operation::Operation;
use univrs_model::resource::Resource;

use super::{Kind, Parts, Told};
use crate::operations::{OperationKind, StepError};
use crate::resources::generated::Turn;

pub(super) const STEPS: &[Told] = &[
    ("generate and seal new credentials", "configure", 0),
    ("give them to what runs", "provision", 40),
    ("leave time to change over", "verify", 60),
    ("take the old ones back", "complete", 90),
];

/// How long old credentials stay good beside the new ones.
const CHANGE_OVER: Duration = Duration::from_secs(10);

/// Rotates credentials.
pub(super) struct Rotate(pub(super) Parts);

#[async_trait]
impl OperationKind for Rotate {
    fn name(&self) -> &'static str {
        Kind::Rotate.name()
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let resource = self.0.resource(operation)?;
        match step {
            0 => {
                let number = operation.parameters.get("number").and_then(serde_json::Value::as_u64);
                let number = number.ok_or_else(|| {
                    StepError::lasting("the operation does not number its credentials; begin a new one")
                })?;
                Ok(self.0.control.turn_secrets(&resource, Turn::Add { number }).await?)
            }
            1 => Ok(self.0.provider(&resource)?.rotate(&self.0.order(operation, &resource)?).await?),
            2 => {
                tokio::time::sleep(CHANGE_OVER).await;
                self.0.serving(&resource).await.map(drop)
            }
            _ => {
                self.0.control.turn_secrets(&resource, Turn::Retire).await?;
                let now = self.0.control.clock.now();
                let change = |resource: &mut Resource| {
                    resource.rotated_at = Some(now);
                    Vec::new()
                };
                self.0.control.change_resource(&resource, None, change).await?;
                Ok(self.0.provider(&resource)?.rotate(&self.0.order(operation, &resource)?).await?)
            }
        }
    }

    async fn verify(&self, _operation: &Operation, _step: usize) -> Result<(), StepError> {
        Ok(())
    }

    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let Some(resource) = self.0.known(operation) else { return Ok(()) };
        match step {
            0 => Ok(self.0.control.turn_secrets(&resource, Turn::TakeBack).await?),
            _ => Ok(()),
        }
    }
}
