//! The loops that measure of resources what agents do not: what their providers say, and the requests that the ingress of
//! a node passed on. It is written down as agents write theirs, so that usage, alerts and quotas see no difference.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use univrs_model::Timestamp;
use univrs_model::ids::{InstanceId, NodeId, ResourceId};
use univrs_model::keys;
use univrs_model::resource::{Resource, ResourceStatus};
use univrs_model::usage::{INGRESS, Measured, Reading, VolumeMeasured};
use univrs_ports::provider::ResourceUse;
use univrs_ports::store::Txn;
use univrs_watch::alerts::percent;
use univrs_watch::meter::{Look, look};

use super::reference;
use crate::error::Error;
use crate::handle::Control;
use crate::record::put;
use crate::state::WorkloadKey;
use crate::view::label as routed_as;

/// How often providers are asked, and how long one may take to answer.
const LOOK: Duration = Duration::from_secs(10);
/// How often what they said is written down, in looks: once a minute.
const TELL: u32 = 6;

/// Says how many requests each workload got so far, by the name that it has in routes.
pub type CountedRequests = Box<dyn Fn() -> Vec<(String, u64)> + Send + Sync>;

/// Measures what providers run, or what an ingress passes on.
pub struct ResourceMeter {
    control: Control,
    node: NodeId,
    look: Duration,
    source: Source,
}

/// Who is asked.
enum Source {
    Providers,
    Ingress { since: Timestamp, counted: CountedRequests },
}

impl ResourceMeter {
    /// A loop that asks providers; it reads and writes through `control`, on `node`.
    pub fn new(control: Control, node: NodeId) -> Self {
        Self { control, node, look: LOOK, source: Source::Providers }
    }

    /// A loop that asks the ingress of `node`.
    pub fn of_ingress(control: Control, node: NodeId, counted: CountedRequests) -> Self {
        let since = control.clock.now();
        Self { control, node, look: LOOK, source: Source::Ingress { since, counted } }
    }

    /// The same, looking so often.
    #[must_use]
    pub fn every(self, look: Duration) -> Self {
        Self { look, ..self }
    }

    /// Runs until `shutdown`; measures while `leading`, so that one member asks the providers.
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
        let ingress = matches!(self.source, Source::Ingress { .. });
        let is_own = |one: &Measured| one.by.as_deref().is_some_and(|by| (by == INGRESS) == ingress);
        let own = state.measured_by(&self.node).filter(|one| is_own(one) && !one.closed);
        own.map(|one| (one.resource.clone(), Measured::clone(one))).collect()
    }

    /// Asks who is to be asked. Answers what is over.
    async fn look(&self, open: &mut BTreeMap<ResourceId, Measured>) -> Vec<Measured> {
        let state = self.control.mirror.state();
        let mut over = Vec::new();
        let counted: BTreeMap<String, u64> = match &self.source {
            Source::Providers => BTreeMap::new(),
            Source::Ingress { counted, .. } => counted().into_iter().collect(),
        };
        for resource in state.resources.values() {
            if matches!(resource.status, ResourceStatus::Failed | ResourceStatus::Deleted) {
                continue;
            }
            let (used, by) = match &self.source {
                Source::Providers => (self.ask(resource).await, resource.provider.as_str()),
                Source::Ingress { since, .. } => (passed_on(resource, &counted, *since), INGRESS),
            };
            let Some(used) = used else { continue };
            let now = self.control.clock.now();
            let Some(instance) = self.instance_of(&resource.id) else { continue };
            let begun = || Measured {
                by: Some(by.to_owned()),
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

    /// The whole of a resource as an instance: its name under the other kind of id, with the node's where each has its own.
    fn instance_of(&self, resource: &ResourceId) -> Option<InstanceId> {
        let (_, name) = resource.as_str().split_once('_')?;
        let node = match self.source {
            Source::Providers => "",
            Source::Ingress { .. } => self.node.as_str().split_once('_')?.1,
        };
        format!("in_{name}{node}").parse().ok()
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

/// What an ingress passed on to the workloads of a resource, if there is a route to any.
fn passed_on(resource: &Resource, counted: &BTreeMap<String, u64>, since: Timestamp) -> Option<ResourceUse> {
    let mut readings = BTreeMap::new();
    for spec in &resource.deployment.workloads {
        let at = WorkloadKey { org: resource.org.clone(), name: spec.name.clone() };
        let Some(requests) = counted.get(&routed_as(&at)) else { continue };
        let reading =
            Reading { since, cpu_micros: 0, network_in: 0, network_out: 0, requests: Some(*requests) };
        readings.insert(spec.name.to_string(), reading);
    }
    (!readings.is_empty()).then(|| ResourceUse { readings, ..ResourceUse::default() })
}

/// The fullest of the volumes that have a bound.
fn fullest(used: &ResourceUse) -> Option<VolumeMeasured> {
    let bounded = used.volumes.values().filter_map(|seen| Some((seen.used, seen.capacity?)));
    let (used, capacity) = bounded.max_by_key(|(used, capacity)| percent(*used, *capacity))?;
    Some(VolumeMeasured { resource: None, used, capacity: Some(capacity) })
}
