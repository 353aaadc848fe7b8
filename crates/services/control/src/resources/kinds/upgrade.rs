//! A resource as its template and images are now: backed up first, then rolled, taken back to what it was if it does not
//! serve.

use async_trait::async_trait;
use univrs_model::operation::Operation;

use super::jobs::Jobs;
use super::scale::Scale;
use super::{Kind, Parts, Told};
use crate::operations::{OperationKind, StepError};

pub(super) const STEPS: &[Told] = &[
    ("back it up", "init", 0),
    ("write what its template says now", "configure", 30),
    ("change it through its provider", "provision", 40),
    ("wait until it serves", "verify", 80),
    ("hand it over", "complete", 100),
];

/// Upgrades resources.
pub(super) struct Upgrade {
    parts: Parts,
    backup: Jobs,
    /// From the second step on it is another size, in all but the name.
    change: Scale,
}

impl Upgrade {
    pub(super) fn new(parts: Parts) -> Self {
        let backup = Jobs { parts: parts.clone(), kind: Kind::Backup };
        Self { backup, change: Scale(parts.clone()), parts }
    }

    /// Whether it can be backed up at all.
    fn has_backups(&self, operation: &Operation) -> Result<bool, StepError> {
        Ok(self.parts.resource(operation)?.deployment.backup.is_some())
    }
}

#[async_trait]
impl OperationKind for Upgrade {
    fn name(&self) -> &'static str {
        Kind::Upgrade.name()
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        match step.checked_sub(1) {
            Some(step) => self.change.perform(operation, step).await,
            None if self.has_backups(operation)? => self.backup.run(operation).await,
            None => Ok(()),
        }
    }

    async fn verify(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        match step.checked_sub(1) {
            Some(step) => self.change.verify(operation, step).await,
            // The first step of an upgrade is the second of a backup.
            None if self.has_backups(operation)? => self.backup.verify(operation, 1).await,
            None => Ok(()),
        }
    }

    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        match step.checked_sub(1) {
            Some(step) => self.change.undo(operation, step).await,
            // Nothing of it was changed yet; its backup stays.
            None => match self.parts.known(operation) {
                Some(resource) => {
                    let active = univrs_model::resource::ResourceStatus::Active;
                    Ok(self.parts.set_status(&resource, active, "").await?)
                }
                None => Ok(()),
            },
        }
    }
}
