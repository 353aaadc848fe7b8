//! Backups and their restoration: jobs beside the resource, whose last line says what they did.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use univrs_model::Timestamp;
use univrs_model::operation::Operation;
use univrs_model::resource::{Backup, Resource, ResourceStatus};
use univrs_ports::provider::{Order, Standing};
use univrs_template::JobValues;

use super::{Kind, Parts, Told};
use crate::operations::{OperationKind, StepError};
use crate::record::Record;
use crate::resources::reference;
use crate::state::OrgName;

pub(super) const STEPS: &[Told] = &[
    ("look whether it serves", "init", 0),
    ("run the job", "provision", 20),
    ("write it down", "complete", 90),
];

/// Backs resources up, or restores them.
pub(super) struct Jobs {
    pub(super) parts: Parts,
    pub(super) kind: Kind,
}

/// What a backup says of itself.
#[derive(Deserialize)]
struct Written {
    bytes: u64,
    sha256: String,
    #[serde(default)]
    usable_from: Option<Timestamp>,
}

fn backup_of(operation: &Operation) -> Result<String, StepError> {
    let id = operation.parameters.get("backup").and_then(Value::as_str);
    id.map(str::to_owned)
        .ok_or_else(|| StepError::lasting("the operation does not name its backup; begin a new one"))
}

impl Jobs {
    /// The resource whose backups these are.
    fn source(&self, operation: &Operation) -> Result<Record<Resource>, StepError> {
        let Some(name) = operation.parameters.get("source").and_then(Value::as_str) else {
            return self.parts.resource(operation);
        };
        let gone = || StepError::lasting(format!("resource {name}, whose backup it is, was removed"));
        let at = OrgName { org: operation.org.clone(), name: name.parse().map_err(|_| gone())? };
        self.parts.control.mirror.state().resources.get(&at).cloned().ok_or_else(gone)
    }

    pub(super) async fn run(&self, operation: &Operation) -> Result<(), StepError> {
        let source = self.source(operation)?;
        let target = self.parts.resource(operation)?;
        let Some(jobs) = &source.deployment.backup else {
            return Err(StepError::lasting(format!("the template {} has no backups", source.template)));
        };
        let backup = backup_of(operation)?;
        let document = if self.kind == Kind::Backup { &jobs.backup } else { &jobs.restore };
        let mut values: BTreeMap<String, Value> =
            target.parameters.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        values.extend(target.deployment.values.clone());
        values.insert("name".to_owned(), Value::String(target.name.to_string()));
        let to_time = operation.parameters.get("to_time").and_then(Value::as_str).unwrap_or_default();
        let about = JobValues { backup: &backup, keep: jobs.keep, to_time, target: &values };
        let job = univrs_template::job(document, &source.id, about).map_err(StepError::lasting)?;
        let mut secrets = self.parts.control.open_secrets(&source)?;
        secrets.extend(self.parts.control.open_secrets(&target)?);
        let order = Order {
            resource: reference(&source),
            operation: operation.id.clone(),
            workloads: vec![job],
            secrets,
        };
        let provider = self.parts.provider(&source)?;
        let outcome = match self.kind {
            Kind::Restore => provider.restore(&order).await?,
            _ => provider.backup(&order).await?,
        };
        let last = outcome.last_lines.last().cloned().unwrap_or_default();
        if !outcome.succeeded {
            let said = if last.is_empty() { "the job failed and said nothing".to_owned() } else { last };
            return Err(self.failed(operation, [&source, &target], said).await?);
        }
        if self.kind == Kind::Restore {
            return Ok(());
        }
        let told =
            outcome.last_lines.iter().rev().find_map(|line| serde_json::from_str::<Written>(line).ok());
        let told =
            told.ok_or_else(|| StepError::lasting(format!("the job did not say what it wrote: {last}")))?;
        let made = Backup {
            id: backup,
            created_at: operation.created_at,
            bytes: told.bytes,
            sha256: told.sha256,
            usable_from: told.usable_from,
        };
        let keep = usize::try_from(jobs.keep).unwrap_or(usize::MAX);
        let change = |resource: &mut Resource| {
            if resource.backups.iter().all(|known| known.id != made.id) {
                resource.backups.push(made.clone());
                let excess = resource.backups.len().saturating_sub(keep);
                resource.backups.drain(..excess);
            }
            Vec::new()
        };
        self.parts.control.change_resource(&source, None, change).await?;
        Ok(())
    }

    /// What becomes of a job that failed. Where one of the resources does not serve that may be why: another try comes when
    /// what is gone of it was made again, which nobody else does while this operation is under way.
    async fn failed(
        &self,
        operation: &Operation,
        of: [&Record<Resource>; 2],
        said: String,
    ) -> Result<StepError, StepError> {
        for resource in of {
            let provider = self.parts.provider(resource)?;
            let reason = match provider.status(&reference(resource)).await? {
                Standing::Serving { .. } => continue,
                Standing::Waiting { reason } | Standing::Failed { reason } => reason,
                Standing::Absent => "nothing of it is there".to_owned(),
            };
            if provider.mends() {
                provider.deploy(&self.parts.order(operation, resource)?).await?;
            }
            return Ok(StepError::temporary(format!("{said} ({} does not serve: {reason})", resource.name)));
        }
        Ok(StepError::lasting(said))
    }
}

#[async_trait]
impl OperationKind for Jobs {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        match step {
            0 => self.parts.serves(&*self.parts.resource(operation)?).await.map(drop),
            1 => self.run(operation).await,
            _ if self.kind == Kind::Restore => {
                let resource = self.parts.resource(operation)?;
                self.parts.serving(&resource).await?;
                Ok(self.parts.set_status(&resource, ResourceStatus::Active, "").await?)
            }
            _ => Ok(()),
        }
    }

    async fn verify(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        if step == 1 && self.kind == Kind::Backup {
            let backup = backup_of(operation)?;
            let resource = self.parts.resource(operation)?;
            if resource.backups.iter().all(|known| known.id != backup) {
                return Err(StepError::temporary("the backup is not written down"));
            }
        }
        Ok(())
    }

    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        // A job that was stopped goes with the next one, or with the resource; what it wrote half is its to clear.
        if step == 0
            && self.kind == Kind::Restore
            && let Some(resource) = self.parts.known(operation)
        {
            self.parts.set_status(&resource, ResourceStatus::Active, "").await?;
        }
        Ok(())
    }
}
