//! The long changes of resources, each a list of steps that any control node can go on with.
//!
//! Every step may be done again and undone again: what it makes has a name or carries an id that it is found by.

mod create;
mod delete;
mod jobs;
mod mend;
mod promote;
mod rotate;
mod scale;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::operation::Operation;
use univrs_model::resource::{Resource, ResourceStatus};
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{Order, Provider, ProviderError, Standing};

use super::reference;
use crate::error::Error;
use crate::handle::Control;
use crate::operations::{self, OperationKind, StepError};
use crate::record::Record;
use crate::state::OrgName;

/// How often a provider is asked how something is doing.
const LOOK: Duration = Duration::from_millis(100);
/// How long a resource may take until it serves.
const SERVING: Duration = Duration::from_secs(180);

/// The kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Create,
    Delete,
    Scale,
    Rotate,
    Backup,
    Restore,
    Mend,
    Promote,
    Upgrade,
}

/// What people see of a step: its name, its stage, the progress when it begins.
type Told = (&'static str, &'static str, u8);

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "resource_create",
            Self::Delete => "resource_delete",
            Self::Scale => "resource_scale",
            Self::Rotate => "resource_rotate",
            Self::Backup => "resource_backup",
            Self::Restore => "resource_restore",
            Self::Mend => "resource_mend",
            Self::Promote => "resource_promote",
            Self::Upgrade => "resource_upgrade",
        }
    }

    const fn steps(self) -> &'static [Told] {
        match self {
            Self::Create => create::STEPS,
            Self::Delete => delete::STEPS,
            Self::Scale => scale::STEPS,
            Self::Rotate => rotate::STEPS,
            Self::Backup | Self::Restore => jobs::STEPS,
            Self::Mend => mend::STEPS,
            Self::Promote => promote::STEPS,
            Self::Upgrade => upgrade::STEPS,
        }
    }
}

/// An operation of this kind on `resource`.
pub(super) fn operation(
    kind: Kind,
    caller: &Caller,
    resource: &Resource,
    mut parameters: Map<String, Value>,
    now: Timestamp,
) -> Operation {
    parameters.insert("id".into(), json!(resource.id));
    let steps =
        kind.steps().iter().map(|&(name, stage, progress)| operations::waiting(name, stage, progress));
    operations::operation(caller, kind.name(), resource.name.to_string(), parameters, steps.collect(), now)
}

/// All kinds, for the runner of operations.
pub fn resource_kinds(control: &Control) -> Vec<Arc<dyn OperationKind>> {
    let parts = Parts { control: control.clone() };
    vec![
        Arc::new(create::Create(parts.clone())),
        Arc::new(delete::Delete(parts.clone())),
        Arc::new(scale::Scale(parts.clone())),
        Arc::new(rotate::Rotate(parts.clone())),
        Arc::new(mend::Mend(parts.clone())),
        Arc::new(jobs::Jobs { parts: parts.clone(), kind: Kind::Backup }),
        Arc::new(jobs::Jobs { parts: parts.clone(), kind: Kind::Restore }),
        Arc::new(upgrade::Upgrade::new(parts.clone())),
        Arc::new(promote::Promote(parts)),
    ]
}

/// What all kinds work with.
#[derive(Clone)]
struct Parts {
    control: Control,
}

impl Parts {
    /// The operation's resource, if it is there still.
    fn known(&self, operation: &Operation) -> Option<Record<Resource>> {
        let id = operation.parameters.get("id")?.as_str()?;
        let at = OrgName { org: operation.org.clone(), name: operation.subject.parse().ok()? };
        let state = self.control.mirror.state();
        state.resources.get(&at).filter(|known| known.id.as_str() == id).cloned()
    }

    fn resource(&self, operation: &Operation) -> Result<Record<Resource>, StepError> {
        self.known(operation)
            .ok_or_else(|| StepError::lasting(format!("resource {} was removed", operation.subject)))
    }

    fn provider(&self, resource: &Resource) -> Result<Arc<dyn Provider>, StepError> {
        self.control.resources.provider_of(resource).map_err(|_| {
            StepError::temporary(format!("the provider {} is not on this node", resource.provider))
        })
    }

    /// What the provider is to make real, ports and secrets filled in.
    fn order(&self, operation: &Operation, resource: &Resource) -> Result<Order, StepError> {
        Ok(Order {
            resource: reference(resource),
            operation: operation.id.clone(),
            workloads: with_ports(resource),
            secrets: self.control.open_secrets(resource)?,
        })
    }

    /// Returns the host when the resource serves.
    async fn serving(&self, resource: &Resource) -> Result<String, StepError> {
        let provider = self.provider(resource)?;
        let reference = reference(resource);
        let mut last = String::new();
        let wait = async {
            loop {
                match provider.status(&reference).await {
                    Ok(Standing::Serving { host }) => return Ok(host),
                    Ok(Standing::Failed { reason }) => return Err(StepError::lasting(reason)),
                    Ok(Standing::Absent) => last = "nothing of it is there".to_owned(),
                    Ok(Standing::Waiting { reason }) => last = reason,
                    Err(error) => last = error.to_string(),
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(SERVING, wait).await {
            Ok(ended) => ended,
            Err(_) => {
                Err(StepError::lasting(format!("it did not serve within {} s: {last}", SERVING.as_secs())))
            }
        }
    }

    /// Where each of its ports is reached.
    async fn hosts(&self, resource: &Resource) -> Result<BTreeMap<String, String>, StepError> {
        let hosts = self.provider(resource)?.hosts(&reference(resource)).await?;
        Ok(crate::resources::hosts_of_ports(resource, &hosts))
    }

    /// Whether it serves now.
    async fn serves(&self, resource: &Resource) -> Result<String, StepError> {
        match self.provider(resource)?.status(&reference(resource)).await? {
            Standing::Serving { host } => Ok(host),
            Standing::Failed { reason } | Standing::Waiting { reason } => Err(StepError::temporary(reason)),
            Standing::Absent => Err(StepError::temporary("nothing of it is there")),
        }
    }

    /// Sets how a resource is doing.
    async fn set_status(
        &self,
        resource: &Resource,
        status: ResourceStatus,
        message: &str,
    ) -> Result<(), Error> {
        let change = |resource: &mut Resource| {
            resource.status = status;
            message.clone_into(&mut resource.message);
            Vec::new()
        };
        self.control.change_resource(resource, None, change).await.map(drop)
    }
}

/// The workloads with the ports of hosts that the resource was given.
fn with_ports(resource: &Resource) -> Vec<WorkloadSpec> {
    let mut workloads = resource.deployment.workloads.clone();
    for public in &resource.deployment.ports {
        let Some(host_port) = resource.ports.get(&public.name) else { continue };
        let of_workload = workloads.iter_mut().filter(|spec| spec.name == public.workload);
        for port in
            of_workload.flat_map(|spec| &mut spec.containers).flat_map(|container| &mut container.ports)
        {
            if port.name == public.port {
                port.host_port = Some(*host_port);
            }
        }
    }
    workloads
}

impl From<ProviderError> for StepError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Temporary { reason } => Self::temporary(reason),
            ProviderError::Lasting { reason } => Self::lasting(reason),
        }
    }
}
