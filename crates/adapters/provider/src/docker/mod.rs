//! The provider `docker`: resources as containers of a Docker Engine of this machine.
//!
//! Everything is found by its labels and nothing is remembered here, so any process may go on where another stopped.
//! Each organisation has a network of its own, which goes with the last thing in it.

mod desired;
mod jobs;
mod needs;
mod replica;
pub(crate) mod standing;

use std::collections::BTreeSet;

use async_trait::async_trait;
use univrs_docker::engine::Engine;
use univrs_model::resource::Amount;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{
    JobOutcome, Order, Provider, ProviderError, ProviderView, ResourceRef, ResourceUse, Standing,
};

use crate::engine::ground::{Ground, possible, replicas};
pub use crate::engine::{EngineOptions, Places};
use crate::engine::{joined, labels, metrics, secret_files, things};

/// Its id.
const ID: &str = "docker";

/// Makes resources in a Docker Engine.
pub struct DockerProvider {
    ground: Ground,
}

impl DockerProvider {
    /// A provider that asks the engine when it is first needed.
    pub fn new(options: EngineOptions) -> Self {
        Self { ground: Ground::new(ID, options) }
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

#[async_trait]
impl Provider for DockerProvider {
    fn id(&self) -> &'static str {
        ID
    }

    async fn describe(&self) -> ProviderView {
        self.ground.view("a Docker Engine of this machine", self.room().await)
    }

    async fn deploy(&self, order: &Order) -> Result<(), ProviderError> {
        let engine = self.ground.link.engine().await?;
        for spec in &order.workloads {
            possible(spec)?;
        }
        for spec in &order.workloads {
            self.needs(&engine, order, spec).await?;
            self.apply(&engine, order, spec).await?;
        }
        Ok(())
    }

    async fn status(&self, resource: &ResourceRef) -> Result<Standing, ProviderError> {
        self.standing(resource).await
    }

    async fn rotate(&self, order: &Order) -> Result<(), ProviderError> {
        let engine = self.ground.link.engine().await?;
        for spec in &order.workloads {
            self.apply(&engine, order, spec).await?;
            joined::tell(&engine, ID, order, spec).await?;
        }
        Ok(())
    }

    async fn run_job(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        let [job] = order.workloads.as_slice() else {
            return Err(ProviderError::lasting("a job is one workload"));
        };
        let engine = self.ground.link.engine().await?;
        self.job(&engine, order, job).await
    }

    async fn destroy(&self, resource: &ResourceRef) -> Result<(), ProviderError> {
        let engine = self.ground.link.engine().await?;
        things::remove_containers(&engine, ID, resource, |_| true).await?;
        things::remove_volumes(&engine, ID, resource, &self.ground.options.places).await?;
        secret_files::remove(&self.ground.options.files(), resource, None)?;
        {
            let _alone = self.ground.networks.write().await;
            if !things::has_containers(&engine, ID, &resource.org).await? {
                // What somebody else has put into it keeps it.
                things::remove_network(&engine, ID, &labels::network(&resource.org)).await?;
            }
        }
        // Images are shared; one that cannot go now goes the next time.
        if let Err(error) = self.ground.copies.sweep(&engine).await {
            tracing::debug!(%error, "copies of images in Docker were not swept");
        }
        Ok(())
    }

    async fn logs(&self, resource: &ResourceRef, lines: usize) -> Result<Vec<String>, ProviderError> {
        let engine = self.ground.link.engine().await?;
        let mut all = Vec::new();
        for thing in things::containers(&engine, ID, resource).await? {
            if thing.labels.contains_key(labels::CONTAINER) {
                all.extend(things::last_lines(&engine, &thing.id, lines).await?);
            }
        }
        Ok(all)
    }

    async fn metrics(&self, resource: &ResourceRef) -> Result<Option<ResourceUse>, ProviderError> {
        let engine = self.ground.link.engine().await?;
        metrics::of(&engine, ID, resource, &self.ground.options.places).await
    }

    async fn owned(&self, resource: &ResourceRef) -> Result<Vec<String>, ProviderError> {
        let engine = self.ground.link.engine().await?;
        let containers = things::containers(&engine, ID, resource).await?;
        let mut names: Vec<String> =
            containers.into_iter().map(|thing| format!("container/{}", thing.name)).collect();
        let volumes = things::volumes(&engine, ID, resource).await?;
        let places = self.ground.options.places.names(resource);
        let volumes: BTreeSet<String> = volumes.into_iter().chain(places).collect();
        names.extend(volumes.into_iter().map(|volume| format!("volume/{volume}")));
        let secrets = secret_files::of_resource(&self.ground.options.files(), resource);
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
        self.ground.taken_ports().await
    }

    async fn place(&self) -> Result<String, ProviderError> {
        let place = self.ground.place.get_or_try_init(async || {
            let (_, info) = self.ground.link.greet().await?;
            Ok(format!("{} on {}", info.id.unwrap_or_default(), info.name.unwrap_or_default()))
        });
        place.await.cloned()
    }
}

impl DockerProvider {
    /// What is left of the machine, by what resources in the engine have set aside, and how much that is.
    async fn room(&self) -> Result<(Amount, u8), ProviderError> {
        if let Some(obstacle) = &self.ground.options.obstacle {
            return Err(ProviderError::lasting(obstacle.clone()));
        }
        let (engine, info) = self.ground.link.greet().await?;
        let known = things::all_labels(&engine, ID).await?;
        Ok(things::room(&info, known.iter().map(|known| labels::label(known, labels::SET_ASIDE))))
    }
}
