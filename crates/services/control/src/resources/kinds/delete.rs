//! Removing a resource with all it holds. There is no way back, so nothing is undone: a removal that failed leaves the
//! resource as it is, and may be asked for again.

use async_trait::async_trait;
use univrs_model::event::{EventKind, Severity};
use univrs_model::ids::OperationId;
use univrs_model::keys;
use univrs_model::operation::{Operation, OperationStatus};
use univrs_model::resource::ResourceStatus;
use univrs_ports::store::{Txn, TxnOutcome};

use super::{Kind, Parts, Told};
use crate::error::Error;
use crate::operations::{OperationKind, StepError};
use crate::record::{delete, put, unchanged};
use crate::resources::{reference, resource_event};

pub(super) const STEPS: &[Told] = &[
    ("wait until what was under way has stopped", "init", 0),
    ("remove what runs and what it holds", "destroy", 20),
    ("take back its secrets and ports", "release", 80),
    ("forget it", "complete", 100),
];

/// Removes resources.
pub(super) struct Delete(pub(super) Parts);

#[async_trait]
impl OperationKind for Delete {
    fn name(&self) -> &'static str {
        Kind::Delete.name()
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let control = &self.0.control;
        if step == 0 {
            return self.before_has_ended(operation).await;
        }
        // A removal that was cut off after its last step has nothing to do.
        let Some(resource) = self.0.known(operation) else { return Ok(()) };
        match step {
            1 => Ok(self.0.provider(&resource)?.destroy(&reference(&resource)).await?),
            2 => {
                control.remove_secrets(&resource).await?;
                control.take_ports(&resource).await
            }
            _ => {
                let at = keys::resource(&resource.org, &resource.name);
                let now = control.clock.now();
                let told = format!("resource {} was removed with all it held", resource.name);
                let event = resource_event(now, EventKind::ResourceRemoved, Severity::Info, told);
                let txn = Txn {
                    request: None,
                    guards: vec![unchanged(at.clone(), Some(resource.revision))?],
                    ops: vec![
                        delete(at)?,
                        put(keys::event(&resource.org, now, rand::random::<u32>().into()), &event)?,
                    ],
                };
                match control.store.txn(txn).await.map_err(Error::from)? {
                    TxnOutcome::Committed { revision } => {
                        control.mirror.at_least(revision).await;
                        Ok(())
                    }
                    TxnOutcome::GuardFailed { .. } => {
                        Err(StepError::temporary("the resource is being changed by others"))
                    }
                }
            }
        }
    }

    async fn verify(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let Some(resource) = self.0.known(operation) else { return Ok(()) };
        let left = match step {
            0 => Vec::new(),
            1 => self.0.provider(&resource)?.owned(&reference(&resource)).await?,
            2 => {
                let state = self.0.control.mirror.state();
                let ports = state.resource_ports.values().filter(|owner| *owner.value == resource.id);
                let secrets =
                    state.secrets.values().filter(|secret| secret.resource.as_ref() == Some(&resource.id));
                let secrets = secrets.map(|secret| format!("secret/{}", secret.name));
                ports.map(|_| "a port".to_owned()).chain(secrets).collect()
            }
            _ => vec![format!("resource/{}", resource.name)],
        };
        if left.is_empty() {
            Ok(())
        } else {
            Err(StepError::temporary(format!("these are left: {}", left.join(", "))))
        }
    }

    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        if step == 0
            && let Some(resource) = self.0.known(operation)
        {
            let cause = operation.error.as_deref().unwrap_or("it was cancelled");
            let told = format!("it was to be removed and parts of it may be gone: {cause}; remove it again");
            self.0.set_status(&resource, ResourceStatus::Degraded, &told).await?;
        }
        Ok(())
    }
}

impl Delete {
    /// Returns when the operation that this one comes after has ended.
    async fn before_has_ended(&self, operation: &Operation) -> Result<(), StepError> {
        let before =
            operation.parameters.get("after").and_then(|id| id.as_str()?.parse::<OperationId>().ok());
        let Some(before) = before else { return Ok(()) };
        let mut states = self.0.control.mirror.subscribe();
        let ended = states.wait_for(|state| {
            state.operations.get(&before).is_none_or(|known| known.status != OperationStatus::Running)
        });
        match tokio::time::timeout(std::time::Duration::from_secs(120), ended).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(StepError::temporary("the control plane is stopping")),
            Err(_) => Err(StepError::temporary(format!("{before} has not stopped yet"))),
        }
    }
}
