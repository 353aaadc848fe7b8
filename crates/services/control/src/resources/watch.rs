//! The loop that says how resources are doing: it asks each one's provider, and writes what has changed.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use univrs_model::caller::Caller;
use univrs_model::event::{EventKind, Severity};
use univrs_model::operation::OperationStatus;
use univrs_model::resource::{Resource, ResourceStatus};
use univrs_ports::provider::{Provider, Standing};

use super::kinds::{self, Kind};
use super::reference;
use crate::error::Error;
use crate::handle::Control;
use crate::state::OrgName;

/// How often every resource is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How long something that does not serve has to come back by itself, before what is gone of it is made again.
const MEND_AFTER: Duration = Duration::from_secs(15);
/// How long until that is tried once more.
const MEND_AGAIN: Duration = Duration::from_secs(300);

/// Looks after resources that are there.
pub struct ResourceWatcher {
    control: Control,
}

impl ResourceWatcher {
    /// A loop that reads and writes through `control`.
    pub fn new(control: Control) -> Self {
        Self { control }
    }

    /// Runs until `shutdown`; looks while `leading`, so that one member does.
    pub async fn run(self, leading: watch::Receiver<bool>, shutdown: CancellationToken) {
        let mut due = tokio::time::interval(LOOK);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = due.tick() => {}
            }
            if !*leading.borrow() {
                continue;
            }
            let state = self.control.mirror.state();
            for resource in state.resources.values() {
                let settled = matches!(resource.status, ResourceStatus::Active | ResourceStatus::Degraded);
                let changing = state
                    .operations
                    .get(&resource.operation)
                    .is_some_and(|operation| operation.status == OperationStatus::Running);
                if settled
                    && !changing
                    && let Err(error) = self.look(resource).await
                {
                    tracing::warn!(resource = %resource.id, %error, "cannot say how a resource is doing");
                }
            }
        }
    }

    async fn look(&self, resource: &Resource) -> Result<(), Error> {
        let Ok(provider) = self.control.resources.provider_of(resource) else { return Ok(()) };
        let (status, message, host) = match provider.status(&reference(resource)).await {
            Ok(Standing::Serving { host }) => (ResourceStatus::Active, String::new(), Some(host)),
            Ok(Standing::Waiting { reason } | Standing::Failed { reason }) => {
                (ResourceStatus::Degraded, reason, None)
            }
            Ok(Standing::Absent) => (ResourceStatus::Degraded, "nothing of it is there".to_owned(), None),
            // That a provider does not answer says nothing of the resource.
            Err(error) => {
                tracing::debug!(resource = %resource.id, %error, "its provider did not answer");
                return Ok(());
            }
        };
        // Its parts may move one by one.
        let hosts = if host.is_some() { provider.hosts(&reference(resource)).await.ok() } else { None };
        let hosts = hosts.map(|hosts| super::hosts_of_ports(resource, &hosts));
        let moved = host.as_ref().is_some_and(|host| *host != resource.host)
            || hosts.as_ref().is_some_and(|hosts| *hosts != resource.hosts);
        if status == resource.status && !moved {
            if status == ResourceStatus::Degraded && provider.mends() && self.may_mend(resource) {
                return self.mend(&*provider, resource).await;
            }
            return Ok(());
        }
        let event = (status != resource.status).then(|| match status {
            ResourceStatus::Active => (
                EventKind::ResourceActive,
                Severity::Info,
                format!("resource {} serves again", resource.name),
            ),
            _ => (
                EventKind::ResourceDegraded,
                Severity::Warning,
                format!("resource {} does not serve: {message}", resource.name),
            ),
        });
        let operation = resource.operation.clone();
        let change = |known: &mut Resource| {
            // A change that began meanwhile says itself how the resource is doing.
            if known.operation == operation {
                known.status = status;
                known.message.clone_from(&message);
                known.host = host.clone().unwrap_or_else(|| known.host.clone());
                known.hosts = hosts.clone().unwrap_or_else(|| known.hosts.clone());
            }
            Vec::new()
        };
        self.control.change_resource(resource, event, change).await?;
        Ok(())
    }

    /// Whether it is time to mend: it had time to come back by itself, or since it was mended last.
    fn may_mend(&self, resource: &Resource) -> bool {
        let state = self.control.mirror.state();
        let last = state.operations.get(&resource.operation);
        let mended = last.is_some_and(|operation| operation.kind == Kind::Mend.name());
        let patience = if mended { MEND_AGAIN } else { MEND_AFTER };
        let since = self.control.clock.now().duration_since(resource.updated_at);
        since.unsigned_abs() >= patience
    }

    /// Begins to make again what is gone of it, unless nothing can be made there now.
    async fn mend(&self, provider: &dyn Provider, resource: &Resource) -> Result<(), Error> {
        if !provider.describe().await.available {
            return Ok(());
        }
        let state = self.control.mirror.state();
        let at = OrgName { org: resource.org.clone(), name: resource.name.clone() };
        let Some(record) = state.resources.get(&at).filter(|known| known.id == resource.id) else {
            return Ok(());
        };
        let caller = Caller::control("resources", resource.org.clone());
        let now = self.control.clock.now();
        let operation = kinds::operation(Kind::Mend, &caller, resource, serde_json::Map::new(), now);
        let begun =
            self.control.begin(&caller, "resources".to_owned(), &[record], operation, resource.status).await;
        match begun {
            // Somebody else changes it.
            Ok(_) | Err(Error::Conflict { .. } | Error::Contended { .. } | Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
