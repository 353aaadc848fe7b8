//! Gathers what instances observe and tells it to the control plane: changes only, batched, in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use univrs_model::event::Event;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::Observation;
use univrs_model::name::Name;
use univrs_ports::control_plane::{ControlPlane, Report};

/// Changes that come within this time travel together.
const GATHER: Duration = Duration::from_millis(5);
/// Pause after the control plane could not take a report.
const RETRY: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Pending {
    observations: BTreeMap<InstanceId, Observation>,
    gone: Vec<InstanceId>,
    events: Vec<(Name, Event)>,
}

/// Where instances leave what they observed.
#[derive(Clone, Default)]
pub(crate) struct Reporter {
    pending: Arc<Mutex<Pending>>,
    wake: Arc<Notify>,
}

impl Reporter {
    /// Leaves an observation; a newer one of the same instance replaces one that has not been told.
    pub(crate) fn observed(&self, observation: Observation) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.observations.insert(observation.id.clone(), observation);
        drop(pending);
        self.wake.notify_one();
    }

    /// Leaves an event.
    pub(crate) fn happened(&self, org: Name, event: Event) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).events.push((org, event));
        self.wake.notify_one();
    }

    /// Says that nothing is left of an instance.
    pub(crate) fn gone(&self, instance: InstanceId) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.observations.remove(&instance);
        pending.gone.push(instance);
        drop(pending);
        self.wake.notify_one();
    }

    /// Tells the control plane until `shutdown`, then once more.
    pub(crate) async fn run(self, node: NodeId, control: Arc<dyn ControlPlane>, shutdown: CancellationToken) {
        loop {
            let stopping = tokio::select! {
                biased;
                () = self.wake.notified() => false,
                () = shutdown.cancelled() => true,
            };
            if !stopping {
                tokio::time::sleep(GATHER).await;
            }
            let Pending { observations, gone, events } =
                std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
            let report = Report { observations: observations.into_values().collect(), gone, events };
            if report != Report::default()
                && let Err(error) = control.report(&node, report.clone()).await
            {
                tracing::warn!(%error, "the control plane did not take a report; trying again");
                self.put_back(report);
                if !stopping {
                    tokio::time::sleep(RETRY).await;
                    self.wake.notify_one();
                }
            }
            if stopping {
                return;
            }
        }
    }

    /// Keeps what could not be told, unless something newer has come meanwhile.
    fn put_back(&self, report: Report) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for observation in report.observations {
            pending.observations.entry(observation.id.clone()).or_insert(observation);
        }
        pending.gone.extend(report.gone);
        let newer = std::mem::replace(&mut pending.events, report.events);
        pending.events.extend(newer);
    }
}
