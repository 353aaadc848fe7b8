//! The provider `docker`: resources as containers of a Docker Engine of this machine.
//!
//! Everything is found by its labels and nothing is remembered here, so any process may go on where another stopped.
//! Each organisation has a network of its own, which goes with the last thing in it.

mod desired;
mod jobs;
mod replica;
mod standing;

use std::collections::BTreeSet;

use async_trait::async_trait;
use univrs_docker::engine::Engine;
use univrs_model::resource::Amount;
use univrs_model::workload::{OnChange, WorkloadSpec};
use univrs_ports::provider::{
    JobOutcome, Order, Provider, ProviderError, ProviderView, ResourceRef, Standing,
};

pub use crate::engine::EngineOptions;
use crate::engine::copies::Copies;
use crate::engine::link::Link;
use crate::engine::{labels, secret_files, things};

pub(crate) use desired::{CAPABILITIES, health, is_job, nano_cpus, nanoseconds};

/// Its id.
const ID: &str = "docker";

/// Makes resources in a Docker Engine.
pub struct DockerProvider {
    options: EngineOptions,
    link: Link,
    copies: Copies,
    /// Held while something joins a network, and alone by who removes one that nothing is in.
    networks: tokio::sync::RwLock<()>,
    /// Held by who makes a network: Docker would make two of one name.
    making: tokio::sync::Mutex<()>,
    /// Which engine it is; another one does not come to listen at the same socket meanwhile.
    place: tokio::sync::OnceCell<String>,
}

impl DockerProvider {
    /// A provider that asks the engine when it is first needed.
    pub fn new(options: EngineOptions) -> Self {
        let (link, copies) = (Link::new(options.socket.clone()), Copies::new(options.images.clone()));
        Self {
            options,
            link,
            copies,
            networks: tokio::sync::RwLock::default(),
            making: tokio::sync::Mutex::default(),
            place: tokio::sync::OnceCell::new(),
        }
    }

    /// Makes a workload like the order.
    async fn apply(&self, engine: &Engine, order: &Order, spec: &WorkloadSpec) -> Result<(), ProviderError> {
        possible(spec)?;
        self.shrink(engine, order, spec).await?;
        for index in 0..replicas(spec) {
            self.replica(engine, &desired::Replica { order, spec, index }).await?;
        }
        Ok(())
    }
}

/// How many of a workload there are; this machine is the only node.
fn replicas(spec: &WorkloadSpec) -> u32 {
    if is_job(spec) { 1 } else { spec.replicas }
}

/// Refuses what an engine cannot do, before anything is made.
fn possible(spec: &WorkloadSpec) -> Result<(), ProviderError> {
    secret_files::refuse_variables(spec)?;
    if let Some(volume) = spec.volumes.iter().find(|volume| volume.host_path.is_some()) {
        return Err(ProviderError::lasting(format!(
            "the volume `{}` of `{}` is a directory of a node, which only the provider `mesh` can give",
            volume.name, spec.name
        )));
    }
    if replicas(spec) > 1 && !spec.requests().host_ports.is_empty() {
        return Err(ProviderError::lasting(format!(
            "`{}` has {} replicas and a port of the host, and Docker can give that to one only",
            spec.name, spec.replicas
        )));
    }
    Ok(())
}

#[async_trait]
impl Provider for DockerProvider {
    fn id(&self) -> &'static str {
        ID
    }

    async fn describe(&self) -> ProviderView {
        let description = "a Docker Engine of this machine".to_owned();
        let view = ProviderView {
            id: ID.to_owned(),
            description,
            available: false,
            message: String::new(),
            room: None,
            used: None,
            region: String::new(),
        };
        match self.room().await {
            Ok((room, used)) => ProviderView { available: true, room: Some(room), used: Some(used), ..view },
            Err(error) => ProviderView { message: error.to_string(), ..view },
        }
    }

    async fn deploy(&self, order: &Order) -> Result<(), ProviderError> {
        let engine = self.link.engine().await?;
        for spec in &order.workloads {
            self.apply(&engine, order, spec).await?;
        }
        Ok(())
    }

    async fn status(&self, resource: &ResourceRef) -> Result<Standing, ProviderError> {
        self.standing(resource).await
    }

    async fn rotate(&self, order: &Order) -> Result<(), ProviderError> {
        let engine = self.link.engine().await?;
        for spec in &order.workloads {
            self.apply(&engine, order, spec).await?;
            let changes = spec.secrets.iter().map(|uses| uses.on_change);
            let (mut restart, mut signal) = (false, false);
            for change in changes {
                restart |= change == OnChange::Restart;
                signal |= change == OnChange::Signal;
            }
            if restart || signal {
                self.tell(&engine, &order.resource, &spec.name, restart).await?;
            }
        }
        Ok(())
    }

    async fn run_job(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        let [job] = order.workloads.as_slice() else {
            return Err(ProviderError::lasting("a job is one workload"));
        };
        let engine = self.link.engine().await?;
        self.job(&engine, order, job).await
    }

    async fn destroy(&self, resource: &ResourceRef) -> Result<(), ProviderError> {
        let engine = self.link.engine().await?;
        things::remove_containers(&engine, ID, resource, |_| true).await?;
        things::remove_volumes(&engine, ID, resource).await?;
        secret_files::remove(&self.options.files(), resource, None)?;
        {
            let _alone = self.networks.write().await;
            if !things::has_containers(&engine, ID, &resource.org).await? {
                // What somebody else has put into it keeps it.
                things::remove_network(&engine, ID, &labels::network(&resource.org)).await?;
            }
        }
        // Images are shared; one that cannot go now goes the next time.
        if let Err(error) = self.copies.sweep(&engine).await {
            tracing::debug!(%error, "copies of images in Docker were not swept");
        }
        Ok(())
    }

    async fn logs(&self, resource: &ResourceRef, lines: usize) -> Result<Vec<String>, ProviderError> {
        let engine = self.link.engine().await?;
        let mut all = Vec::new();
        for thing in things::containers(&engine, ID, resource).await? {
            if thing.labels.contains_key(labels::CONTAINER) {
                all.extend(things::last_lines(&engine, &thing.id, lines).await?);
            }
        }
        Ok(all)
    }

    async fn owned(&self, resource: &ResourceRef) -> Result<Vec<String>, ProviderError> {
        let engine = self.link.engine().await?;
        let containers = things::containers(&engine, ID, resource).await?;
        let mut names: Vec<String> =
            containers.into_iter().map(|thing| format!("container/{}", thing.name)).collect();
        let volumes = things::volumes(&engine, ID, resource).await?;
        names.extend(volumes.into_iter().map(|volume| format!("volume/{volume}")));
        let secrets = secret_files::of_resource(&self.options.files(), resource);
        if secrets.exists() {
            names.push("secrets".to_owned());
        }
        names.sort();
        Ok(names)
    }

    fn mends(&self) -> bool {
        true
    }

    async fn taken_ports(&self) -> Result<BTreeSet<u16>, ProviderError> {
        let engine = self.link.engine().await?;
        let mut taken = crate::engine::ports::listening();
        taken.extend(things::published(&engine).await?);
        Ok(taken)
    }

    async fn place(&self) -> Result<String, ProviderError> {
        let place = self.place.get_or_try_init(async || {
            let (_, info) = self.link.greet().await?;
            Ok(format!("{} on {}", info.id.unwrap_or_default(), info.name.unwrap_or_default()))
        });
        place.await.cloned()
    }
}

impl DockerProvider {
    /// What is left of the machine, by what resources in the engine have set aside, and how much that is.
    async fn room(&self) -> Result<(Amount, u8), ProviderError> {
        if let Some(obstacle) = &self.options.obstacle {
            return Err(ProviderError::lasting(obstacle.clone()));
        }
        let (engine, info) = self.link.greet().await?;
        let known = things::all_labels(&engine, ID).await?;
        Ok(things::room(&info, known.iter().map(|known| labels::label(known, labels::SET_ASIDE))))
    }
}
