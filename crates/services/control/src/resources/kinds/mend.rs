//! Making again what is gone of a resource and does not come back by itself: a container that somebody removed, the files
//! of secrets after the machine was started anew. What is there and as it should be stays as it is.

use async_trait::async_trait;
use univrs_model::operation::Operation;
use univrs_model::resource::ResourceStatus;

use super::{Kind, Parts, Told};
use crate::operations::{OperationKind, StepError};

pub(super) const STEPS: &[Told] = &[
    ("make again what is gone of it", "provision", 0),
    ("wait until it serves", "verify", 60),
    ("hand it over", "complete", 100),
];

/// Mends resources.
pub(super) struct Mend(pub(super) Parts);

#[async_trait]
impl OperationKind for Mend {
    fn name(&self) -> &'static str {
        Kind::Mend.name()
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let resource = self.0.resource(operation)?;
        match step {
            0 => Ok(self.0.provider(&resource)?.deploy(&self.0.order(operation, &resource)?).await?),
            1 => self.0.serving(&resource).await.map(drop),
            _ => Ok(self.0.set_status(&resource, ResourceStatus::Active, "").await?),
        }
    }

    async fn verify(&self, _operation: &Operation, _step: usize) -> Result<(), StepError> {
        Ok(())
    }

    async fn undo(&self, _operation: &Operation, _step: usize) -> Result<(), StepError> {
        // What was made again is what should be there.
        Ok(())
    }
}
