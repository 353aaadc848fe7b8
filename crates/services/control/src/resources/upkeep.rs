//! The loop that does what is due by itself: backups by schedule, new credentials by age; and reads what parts say of
//! themselves. It begins ordinary operations, which are recorded as its own.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::ids::ResourceId;
use univrs_model::operation::OperationStatus;
use univrs_model::resource::{Deployment, Resource, ResourceStatus};
use univrs_rollout::check_schedule;

use super::due::{Due, Tried, due};
use super::{facts, reference};
use crate::error::Error;
use crate::handle::Control;
use crate::state::State;

/// How often every resource is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Of how many lines of each part facts are read.
const LINES: usize = 50;

/// Refuses a schedule that never fires.
pub(super) fn check(deployment: &Deployment, now: Timestamp) -> Result<(), Error> {
    let Some(schedule) = deployment.backup.as_ref().and_then(|jobs| jobs.schedule.as_ref()) else {
        return Ok(());
    };
    check_schedule(schedule, now)
        .map_err(|fault| Error::field(FieldError::new("parameters", format!("schedule of backups: {fault}"))))
}

/// Does what is due with resources.
pub struct ResourceUpkeep {
    control: Control,
    tried: BTreeMap<ResourceId, Tried>,
}

impl ResourceUpkeep {
    /// A loop that reads and writes through `control`.
    pub fn new(control: Control) -> Self {
        Self { control, tried: BTreeMap::new() }
    }

    /// Runs until `shutdown`; looks while `leading`, so that one member does.
    pub async fn run(mut self, leading: watch::Receiver<bool>, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if *leading.borrow() {
                self.look().await;
            }
        }
    }

    async fn look(&mut self) {
        let state = self.control.mirror.state();
        let known = |id: &ResourceId| state.resources.values().any(|resource| resource.id == *id);
        self.tried.retain(|id, _| known(id));
        for resource in state.resources.values().filter(|resource| settled(&state, resource)) {
            let tried = self.tried.get(&resource.id).copied().unwrap_or_default();
            let now = self.control.clock.now();
            if let Some(due) = due(resource, tried, now) {
                self.begin(resource, due, now).await;
            } else if resource.deployment.facts
                && let Err(error) = self.read_facts(resource).await
            {
                tracing::debug!(resource = %resource.id, %error, "its facts could not be read");
            }
        }
    }

    async fn begin(&mut self, resource: &Resource, due: Due, now: Timestamp) {
        let caller = Caller::control("resources", resource.org.clone());
        let tried = self.tried.entry(resource.id.clone()).or_default();
        let begun = match due {
            Due::Backup => {
                tried.backup = Some(now);
                self.control.back_up_resource(&caller, resource.id.as_str()).await
            }
            Due::Rotation => {
                tried.rotation = Some(now);
                self.control.rotate_resource(&caller, resource.id.as_str()).await
            }
        };
        match begun {
            Ok(_) => tracing::info!(resource = %resource.id, ?due, "began what is due"),
            Err(error) => tracing::warn!(resource = %resource.id, ?due, %error, "cannot begin what is due"),
        }
    }

    async fn read_facts(&self, resource: &Resource) -> Result<(), Error> {
        let Ok(provider) = self.control.resources.provider(&resource.provider) else { return Ok(()) };
        let Ok(lines) = provider.logs(&reference(resource), LINES).await else { return Ok(()) };
        let said = facts::read(&lines);
        if !facts::differ(&resource.facts, &said) {
            return Ok(());
        }
        let operation = resource.operation.clone();
        let change = |known: &mut Resource| {
            if known.operation == operation {
                known.facts.clone_from(&said);
            }
            Vec::new()
        };
        self.control.change_resource(resource, None, change).await.map(drop)
    }
}

/// Whether it is there and nothing is under way with it.
fn settled(state: &State, resource: &Resource) -> bool {
    matches!(resource.status, ResourceStatus::Active | ResourceStatus::Degraded)
        && state
            .operations
            .get(&resource.operation)
            .is_none_or(|operation| operation.status != OperationStatus::Running)
}
