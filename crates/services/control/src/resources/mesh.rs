//! The provider `mesh`: this cluster itself. Resources become workloads, like everyone's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use univrs_model::caller::Caller;
use univrs_model::instance::Phase;
use univrs_model::name::Name;
use univrs_model::node::NodeState;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::resource::{Amount, OPERATION_LABEL, RESOURCE_LABEL};
use univrs_model::rollout::{Workload, WorkloadStatus};
use univrs_model::workload::{WorkloadKind, WorkloadSpec};
use univrs_ports::provider::{
    JobOutcome, Order, Provider, ProviderError, ProviderView, ResourceRef, Standing, percent,
};
use univrs_ports::runtime::LogQuery;

use crate::error::Error;
use crate::handle::{Control, WriteOptions};
use crate::reach::Selection;
use crate::record::Record;
use crate::state::{State, WorkloadKey};
use crate::view;

/// How long the cluster may take to remove what it is asked to, before it is asked again.
const REMOVAL: Duration = Duration::from_secs(60);
/// How long a job may take.
const JOB: Duration = Duration::from_secs(3600);
/// How many lines of a job are told.
const JOB_LINES: usize = 20;

/// Deploys to the nodes of this cluster.
pub struct MeshProvider {
    control: Control,
    taken: TakenPorts,
}

/// Says which ports of this machine others have.
pub type TakenPorts = fn() -> BTreeSet<u16>;

impl MeshProvider {
    /// A provider that writes through `control`.
    pub fn new(control: Control) -> Self {
        Self { control, taken: BTreeSet::new }
    }

    /// The same, with what says which ports of this machine others have. Of other nodes it is not known.
    #[must_use]
    pub fn with_taken_ports(mut self, taken: TakenPorts) -> Self {
        self.taken = taken;
        self
    }

    fn caller(org: &Name) -> Caller {
        Caller::control("resources", org.clone())
    }

    /// Makes a workload, or makes the one that is there like it. One that is not the resource's is refused.
    async fn apply(&self, order: &Order, spec: &WorkloadSpec) -> Result<(), ProviderError> {
        let caller = Self::caller(&order.resource.org);
        let mut spec = spec.clone();
        spec.labels.insert(RESOURCE_LABEL.to_owned(), order.resource.id.to_string());
        let state = self.control.mirror().state();
        let key = WorkloadKey { org: caller.org.clone(), name: spec.name.clone() };
        let options = WriteOptions::default();
        match state.workloads.get(&key) {
            None => {
                spec.labels.insert(OPERATION_LABEL.to_owned(), order.operation.to_string());
                match self.control.create_workload(&caller, spec, &options).await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(translated(error)),
                }
            }
            Some(known) if !is_of(known, &order.resource) => Err(ProviderError::lasting(format!(
                "the workload `{}` is there already and does not belong to the resource",
                spec.name
            ))),
            Some(known) if known.deleting => {
                Err(ProviderError::temporary(format!("the workload `{}` is still being removed", spec.name)))
            }
            Some(known) => {
                // The operation that made it stays its label: another one would not make new instances.
                if let Some(operation) = known.spec.labels.get(OPERATION_LABEL) {
                    spec.labels.insert(OPERATION_LABEL.to_owned(), operation.clone());
                }
                let change = |_: &WorkloadSpec| Ok(spec.clone());
                let changed =
                    self.control.change_workload(&caller, known.id.as_str(), &options, change).await;
                changed.map(drop).map_err(translated)
            }
        }
    }

    /// Asks for the removal of every workload of the resource that is one of `chosen`, and waits until it is gone.
    async fn remove(
        &self,
        resource: &ResourceRef,
        chosen: impl Fn(&WorkloadSpec) -> bool + Send + Sync,
    ) -> Result<(), ProviderError> {
        let caller = Self::caller(&resource.org);
        for (key, record) in own(&self.control.mirror().state(), resource) {
            if chosen(&record.spec) && !record.deleting {
                match self
                    .control
                    .delete_workload(&caller, record.id.as_str(), &WriteOptions::default())
                    .await
                {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(translated(error)),
                }
                tracing::debug!(workload = %key.name, resource = %resource.id, "asked for its removal");
            }
        }
        self.until(REMOVAL, "its workloads are still ending", |state| {
            (!own(state, resource).iter().any(|(_, record)| chosen(&record.spec))).then_some(())
        })
        .await
    }

    /// Waits until `look` sees something.
    async fn until<T>(
        &self,
        patience: Duration,
        otherwise: &str,
        look: impl Fn(&State) -> Option<T>,
    ) -> Result<T, ProviderError> {
        let mut states = self.control.mirror().subscribe();
        let wait = async {
            loop {
                let state = states.borrow_and_update().clone();
                if let Some(seen) = look(&state) {
                    return Some(seen);
                }
                if states.changed().await.is_err() {
                    return None;
                }
            }
        };
        match tokio::time::timeout(patience, wait).await {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) => Err(ProviderError::temporary("the control plane is stopping")),
            Err(_) => Err(ProviderError::temporary(otherwise)),
        }
    }

    async fn lines(&self, org: &Name, workload: &Name, tail: usize) -> Result<Vec<String>, Error> {
        let query = LogQuery { tail: Some(tail), ..LogQuery::default() };
        let selection = Selection::default();
        let logs = self.control.logs(&Self::caller(org), workload.as_str(), &selection, query).await?;
        let mut lines = Vec::new();
        for mut log in logs {
            while let Some(Ok(line)) = log.lines.next().await {
                lines.push(line.text);
            }
        }
        lines.drain(..lines.len().saturating_sub(tail));
        Ok(lines)
    }
}

#[async_trait]
impl Provider for MeshProvider {
    fn id(&self) -> &'static str {
        "mesh"
    }

    async fn describe(&self) -> ProviderView {
        let state = self.control.mirror().state();
        let free = |have: u64, taken: u64| have.saturating_sub(taken);
        let nodes = state.nodes.values().map(|record| view::node(&state, record));
        let usable = nodes.filter(|node| {
            node.state == NodeState::Ready && !node.cordoned && !node.draining && node.node.runtime.is_some()
        });
        let (mut has_all, mut taken_all) = ((0, 0), (0, 0));
        let room = usable.map(|node| {
            let (has, taken) = (&node.node.capacity, &node.requested);
            has_all = (has_all.0 + has.cpu.as_millicores(), has_all.1 + has.memory.get());
            taken_all = (taken_all.0 + taken.cpu.as_millicores(), taken_all.1 + taken.memory.get());
            Amount {
                cpu: Cpu::millicores(free(has.cpu.as_millicores(), taken.cpu.as_millicores())),
                memory: Bytes::new(free(has.memory.get(), taken.memory.get())),
                storage: Bytes::new(free(has.disk.get(), taken.disk.get())),
            }
        });
        let room = room.max_by_key(|room| (room.memory, room.cpu));
        ProviderView {
            id: self.id().to_owned(),
            description: "the nodes of this cluster".to_owned(),
            available: room.is_some(),
            message: if room.is_some() { String::new() } else { "no node runs workloads now".to_owned() },
            used: room.map(|_| percent(taken_all.0, has_all.0).max(percent(taken_all.1, has_all.1))),
            room,
            region: String::new(),
        }
    }

    async fn deploy(&self, order: &Order) -> Result<(), ProviderError> {
        for spec in &order.workloads {
            self.apply(order, spec).await?;
        }
        Ok(())
    }

    async fn status(&self, resource: &ResourceRef) -> Result<Standing, ProviderError> {
        Ok(standing(&self.control.mirror().state(), resource))
    }

    async fn hosts(&self, resource: &ResourceRef) -> Result<BTreeMap<Name, String>, ProviderError> {
        let state = self.control.mirror().state();
        let own = own(&state, resource).into_iter();
        Ok(own.filter_map(|(key, _)| Some((key.name.clone(), address(&state, &key)?))).collect())
    }

    async fn taken_ports(&self) -> Result<BTreeSet<u16>, ProviderError> {
        // A process is started for it.
        let taken = self.taken;
        tokio::task::spawn_blocking(taken)
            .await
            .map_err(|_| ProviderError::temporary("the ports of this machine could not be looked at"))
    }

    async fn rotate(&self, _order: &Order) -> Result<(), ProviderError> {
        // Nodes follow the secrets of the state by themselves; old and new are good while they do.
        Ok(())
    }

    async fn run_job(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        let [job] = order.workloads.as_slice() else {
            return Err(ProviderError::lasting("a job is one workload"));
        };
        let key = WorkloadKey { org: order.resource.org.clone(), name: job.name.clone() };
        let operation = order.operation.to_string();
        let of_this = |record: &Record<Workload>| record.spec.labels.get(OPERATION_LABEL) == Some(&operation);
        let known = self.control.mirror().state().workloads.get(&key).cloned();
        // What an earlier operation left, because it was stopped, is no job of this one.
        if known.as_ref().is_some_and(|known| is_of(known, &order.resource) && !of_this(known)) {
            self.remove(&order.resource, |spec| spec.name == job.name).await?;
        }
        if !known.is_some_and(|known| of_this(&known)) {
            self.apply(order, job).await?;
        }
        let succeeded = self
            .until(JOB, "the job has not ended", |state| {
                let record = state.workloads.get(&key)?;
                match view::workload(state, &key, record).status {
                    WorkloadStatus::Completed => Some(true),
                    WorkloadStatus::Failed => Some(false),
                    _ => None,
                }
            })
            .await?;
        let last_lines = self.lines(&key.org, &key.name, JOB_LINES).await.map_err(translated)?;
        self.remove(&order.resource, |spec| spec.name == job.name).await?;
        Ok(JobOutcome { succeeded, last_lines })
    }

    async fn destroy(&self, resource: &ResourceRef) -> Result<(), ProviderError> {
        let state = self.control.mirror().state();
        // Volumes carry the name of their workload only, so a workload of that name which is not the resource's keeps
        // its volumes.
        let foreign = |name: &Name| {
            let key = WorkloadKey { org: resource.org.clone(), name: name.clone() };
            state.workloads.get(&key).is_some_and(|record| !is_of(record, resource))
        };
        let names: Vec<&Name> = resource.workloads.iter().filter(|name| !foreign(name)).collect();
        self.remove(resource, |_| true).await?;
        let state = self.control.mirror().state();
        for volume in state.volumes.values() {
            if volume.org != resource.org || volume.removing || !names.contains(&&volume.workload) {
                continue;
            }
            match self.control.delete_volume(&Self::caller(&resource.org), volume.id.as_str()).await {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(translated(error)),
            }
        }
        self.until(REMOVAL, "its volumes are still being removed", |state| {
            let left = |volume: &&Record<univrs_model::volume::Volume>| {
                volume.org == resource.org && names.contains(&&volume.workload)
            };
            (!state.volumes.values().any(|volume| left(&volume))).then_some(())
        })
        .await
    }

    async fn logs(&self, resource: &ResourceRef, lines: usize) -> Result<Vec<String>, ProviderError> {
        let mut all = Vec::new();
        for (key, _) in own(&self.control.mirror().state(), resource) {
            all.extend(self.lines(&key.org, &key.name, lines).await.map_err(translated)?);
        }
        Ok(all)
    }

    async fn owned(&self, resource: &ResourceRef) -> Result<Vec<String>, ProviderError> {
        let state = self.control.mirror().state();
        let own = own(&state, resource);
        let mut names: Vec<String> = own.iter().map(|(key, _)| format!("workload/{}", key.name)).collect();
        for (key, _) in &own {
            let volumes =
                state.volumes.values().filter(|volume| volume.org == key.org && volume.workload == key.name);
            names.extend(volumes.map(|volume| format!("volume/{}", volume.id)));
        }
        names.sort();
        Ok(names)
    }
}

fn is_of(record: &Record<Workload>, resource: &ResourceRef) -> bool {
    record.spec.labels.get(RESOURCE_LABEL).is_some_and(|id| id == resource.id.as_str())
}

/// The workloads of a resource.
fn own(state: &State, resource: &ResourceRef) -> Vec<(WorkloadKey, Record<Workload>)> {
    let own =
        state.workloads.iter().filter(|(key, record)| key.org == resource.org && is_of(record, resource));
    own.map(|(key, record)| (key.clone(), record.clone())).collect()
}

/// How the services of a resource are doing.
pub(super) fn standing(state: &State, resource: &ResourceRef) -> Standing {
    let mut host = None;
    let mut any = false;
    for (key, record) in own(state, resource) {
        if matches!(record.spec.kind, WorkloadKind::Job | WorkloadKind::Cron) {
            continue;
        }
        any = true;
        let seen = view::workload(state, &key, &record);
        let told = |words: &str| {
            format!("{}: {}", key.name, if seen.message.is_empty() { words } else { &seen.message })
        };
        if record.deleting {
            return Standing::Waiting { reason: format!("{} is being removed", key.name) };
        }
        if seen.observed_generation < seen.generation || seen.version == 0 {
            return Standing::Waiting { reason: format!("{}: waiting for the control plane", key.name) };
        }
        match seen.status {
            WorkloadStatus::Failed => return Standing::Failed { reason: told("it failed") },
            WorkloadStatus::Reverted => return Standing::Failed { reason: told("its new version failed") },
            WorkloadStatus::Running | WorkloadStatus::Degraded | WorkloadStatus::Progressing
                if seen.ready >= seen.replicas && seen.updated >= seen.replicas => {}
            _ => return Standing::Waiting { reason: told("it is starting") },
        }
        host = host.or_else(|| address(state, &key));
    }
    match (any, host) {
        (false, _) => Standing::Absent,
        (true, Some(host)) => Standing::Serving { host },
        (true, None) => Standing::Waiting { reason: "its node is not known yet".to_owned() },
    }
}

/// The address of the node that a workload's first running instance is on: where other nodes reach it, when there are
/// others, and else that of its API, which is loopback unless it says otherwise.
fn address(state: &State, key: &WorkloadKey) -> Option<String> {
    let instances = state.instances_of(key);
    let running = instances.iter().find(|instance| instance.phase() == Phase::Running)?;
    let node = state.nodes.get(running.assignment.node.as_ref()?)?;
    let told = if state.nodes.len() > 1 { node.address.as_ref() } else { None };
    if let Some((host, _port)) = told.and_then(|told| told.rsplit_once(':')) {
        return Some(host.to_owned());
    }
    let address: Option<std::net::SocketAddr> = node.api_address.parse().ok();
    Some(match address.map(|address| address.ip()) {
        Some(ip) if !ip.is_unspecified() => ip.to_string(),
        _ => "127.0.0.1".to_owned(),
    })
}

fn translated(error: Error) -> ProviderError {
    match &error {
        Error::Invalid(_) | Error::Denied { .. } | Error::Exists { .. } => {
            ProviderError::lasting(error.to_string())
        }
        _ => ProviderError::temporary(error.to_string()),
    }
}
