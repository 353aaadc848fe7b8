//! The loop that measures resources which nodes do not: it asks their providers, and writes down what they say as nodes
//! do, so that usage, alerts and quotas see no difference.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use univrs_model::ids::{InstanceId, NodeId, ResourceId};
use univrs_model::keys;
use univrs_model::resource::{Resource, ResourceStatus};
use univrs_model::usage::{Measured, VolumeMeasured};
use univrs_ports::provider::ResourceUse;
use univrs_ports::store::Txn;
use univrs_watch::alerts::percent;
use univrs_watch::meter::{Look, look};

use super::reference;
use crate::error::Error;
use crate::handle::Control;
use crate::record::put;

/// How often providers are asked, and how long one may take to answer.
const LOOK: Duration = Duration::from_secs(10);
/// How often what they said is written down, in looks: once a minute.
const TELL: u32 = 6;

/// Measures what providers run.
pub struct ResourceMeter {
    control: Control,
    node: NodeId,
    look: Duration,
}

impl ResourceMeter {
    /// A loop that reads and writes through `control`, on `node`.
    pub fn new(control: Control, node: NodeId) -> Self {
        Self { control, node, look: LOOK }
    }

    /// The same, looking so often.
    #[must_use]
    pub fn every(self, look: Duration) -> Self {
        Self { look, ..self }
    }

    /// Runs until `shutdown`; measures while `leading`, so that one member does.
    pub async fn run(self, leading: watch::Receiver<bool>, shutdown: CancellationToken) {
        let mut due = tokio::time::interval(self.look);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known: Option<BTreeMap<ResourceId, Measured>> = None;
        // What is over and not written down yet.
        let mut over = Vec::new();
        for turn in (0..TELL).cycle() {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = due.tick() => {}
            }
            if !*leading.borrow() {
                known = None;
                continue;
            }
            let open = known.get_or_insert_with(|| self.before());
            over.extend(self.look(open).await);
            match self.tell(open, &over, turn == 0).await {
                Ok(()) => over.clear(),
                Err(error) => tracing::debug!(%error, "what was measured is written down later"),
            }
        }
    }

    /// What this node has measured of windows that are not over.
    fn before(&self) -> BTreeMap<ResourceId, Measured> {
        let state = self.control.mirror.state();
        let own = state.measured_by(&self.node).filter(|one| one.by.is_some() && !one.closed);
        own.map(|one| (one.resource.clone(), Measured::clone(one))).collect()
    }

    /// Asks providers. Answers what is over.
    async fn look(&self, open: &mut BTreeMap<ResourceId, Measured>) -> Vec<Measured> {
        let state = self.control.mirror.state();
        let mut over = Vec::new();
        for resource in state.resources.values() {
            if matches!(resource.status, ResourceStatus::Failed | ResourceStatus::Deleted) {
                continue;
            }
            let Some(used) = self.ask(resource).await else { continue };
            let now = self.control.clock.now();
            let Some(instance) = instance_of(&resource.id) else { continue };
            let begun = || Measured {
                by: Some(resource.provider.clone()),
                ..Measured::begun(instance, resource.id.clone(), resource.org.clone(), now)
            };
            let measured = open.entry(resource.id.clone()).or_insert_with(begun);
            let storage = used.volumes.values().map(|seen| seen.used).sum();
            let seen = Look { at: now, readings: used.readings.clone(), memory: used.memory, storage };
            measured.fullest = fullest(&used);
            over.extend(look(measured, &seen));
        }
        let there: BTreeSet<&ResourceId> = state.resources.values().map(|resource| &resource.id).collect();
        let gone: Vec<ResourceId> = open.keys().filter(|id| !there.contains(id)).cloned().collect();
        let gone = gone.iter().filter_map(|id| open.remove(id));
        over.extend(gone.map(|gone| Measured { closed: true, readings: BTreeMap::new(), ..gone }));
        over
    }

    /// What a resource uses; nothing where nodes measure it, nothing of it runs, or its provider does not say.
    async fn ask(&self, resource: &Resource) -> Option<ResourceUse> {
        let provider = self.control.resources.provider_of(resource).ok()?;
        let reference = reference(resource);
        match tokio::time::timeout(LOOK, provider.metrics(&reference)).await {
            Ok(Ok(used)) => used,
            Ok(Err(error)) => {
                tracing::debug!(resource = %resource.id, %error, "it cannot be measured now");
                None
            }
            Err(_) => None,
        }
    }

    /// Writes down what is over, and the rest when it is its turn.
    async fn tell(
        &self,
        open: &BTreeMap<ResourceId, Measured>,
        over: &[Measured],
        turn: bool,
    ) -> Result<(), Error> {
        let open = open.values().filter(|_| turn);
        let mut ops = Vec::new();
        for measured in over.iter().chain(open) {
            ops.push(put(keys::measured(&self.node, measured.window, &measured.instance), measured)?);
        }
        if ops.is_empty() {
            return Ok(());
        }
        self.control.store.txn(Txn { request: None, guards: Vec::new(), ops }).await?;
        Ok(())
    }
}

/// The whole of a resource as an instance: the same name under the other kind of id.
fn instance_of(resource: &ResourceId) -> Option<InstanceId> {
    let (_, name) = resource.as_str().split_once('_')?;
    format!("in_{name}").parse().ok()
}

/// The fullest of the volumes that have a bound.
fn fullest(used: &ResourceUse) -> Option<VolumeMeasured> {
    let bounded = used.volumes.values().filter_map(|seen| Some((seen.used, seen.capacity?)));
    let (used, capacity) = bounded.max_by_key(|(used, capacity)| percent(*used, *capacity))?;
    Some(VolumeMeasured { resource: None, used, capacity: Some(capacity) })
}

#[cfg(test)]
mod tests {
    use univrs_model::ids::ResourceId;

    use super::instance_of;

    #[test]
    fn a_resource_has_an_instance_of_its_own() {
        let (one, two) = (ResourceId::from_bits(1), ResourceId::from_bits(2));
        assert!(instance_of(&one).is_some() && instance_of(&one) != instance_of(&two));
        assert_eq!(instance_of(&one), instance_of(&one));
    }
}
