//! The provider `swarm`: resources as services of a swarm that the Docker Engine of this machine manages.
//!
//! A workload of one container is a service. A swarm lets no two share a network, so of a workload of several the service
//! holds the network and the containers beside it join (`group.rs`). Images and volumes are on this machine, so services
//! are bound to it. Everything is found by its labels and nothing is remembered.

mod desired;
mod group;
mod jobs;
mod needs;
mod secrets;
mod standing;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{Service, SystemInfo};
use bollard::query_parameters::{
    InspectServiceOptions, ListServicesOptionsBuilder, UpdateServiceOptionsBuilder,
};
use univrs_docker::engine::{CONFLICT, Engine, NOT_FOUND, unless};
use univrs_model::resource::OPERATION_LABEL;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{
    JobOutcome, Order, Provider, ProviderError, ProviderView, ResourceRef, ResourceUse, Standing,
};

use crate::engine::ground::{Ground, possible};
use crate::engine::labels::{self, Labels};
use crate::engine::link::failed;
use crate::engine::things::WantedVolume;
use crate::engine::{EngineOptions, joined, metrics, secret_files, things};
use desired::Wanted;

/// Its id.
const ID: &str = "swarm";
/// How often something that others change at the same time is tried again.
const TRIES: usize = 5;
/// How long the swarm may take to end what is removed.
const REMOVAL: Duration = Duration::from_secs(60);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(100);

/// Makes resources in a swarm.
pub struct SwarmProvider {
    ground: Ground,
}

impl SwarmProvider {
    /// A provider that asks the engine when it is first needed.
    pub fn new(options: EngineOptions) -> Self {
        Self { ground: Ground::new(ID, options) }
    }

    /// The engine, if it manages a swarm, and this machine's id in it.
    async fn manager(&self) -> Result<(Engine, SystemInfo, String), ProviderError> {
        if let Some(obstacle) = &self.ground.options.obstacle {
            return Err(ProviderError::lasting(obstacle.clone()));
        }
        let (engine, info) = self.ground.link.greet().await?;
        let swarm = info.swarm.clone().unwrap_or_default();
        match swarm.node_id.filter(|id| !id.is_empty()) {
            Some(node) if swarm.control_available == Some(true) => Ok((engine, info, node)),
            Some(_) => Err(ProviderError::temporary(
                "the Docker Engine of this machine is in a swarm and does not manage it (`docker node promote`)",
            )),
            None => Err(ProviderError::temporary(
                "the Docker Engine of this machine is in no swarm (`docker swarm init`)",
            )),
        }
    }

    /// Makes a service like the order.
    async fn apply(
        &self,
        engine: &Engine,
        node: &str,
        order: &Order,
        spec: &WorkloadSpec,
    ) -> Result<(), ProviderError> {
        possible(spec)?;
        let containers = spec.containers();
        let [container] = containers.as_slice() else { return self.group(engine, node, order, spec).await };
        let copy = self.ground.copies.ensure(engine, &container.image).await?;
        let user = things::user_of(container, &copy)?;
        let resource = &order.resource;
        let _joining = self.ground.networks.read().await;
        self.network(engine, resource).await?;
        for slot in 1..=crate::engine::ground::replicas(spec) {
            for mount in &container.mounts {
                let name = desired::volume(&resource.org, &spec.name, &slot.to_string(), &mount.volume);
                let labels = desired::labels_of(order, spec);
                let volume = WantedVolume::new(spec, &mount.volume, &name, labels, &user);
                things::volume(engine, ID, resource, &self.ground.options.places, volume).await?;
            }
        }
        let secrets = secrets::ensure(engine, order, spec).await?;
        let kept: BTreeSet<String> = secrets.iter().map(|held| held.id.clone()).collect();
        let image = copy.name.clone();
        let wanted =
            Wanted { order, spec, container, image, user, secrets, node: node.to_owned(), holds: false };
        put(engine, &wanted).await?;
        secrets::sweep(engine, resource, Some(spec.name.as_str()), &kept).await
    }

    /// Makes the network of the resource's organisation, if there is none.
    async fn network(&self, engine: &Engine, resource: &ResourceRef) -> Result<(), ProviderError> {
        let _one = self.ground.making.lock().await;
        things::network(engine, ID, &resource.org, &desired::network(&resource.org), "overlay").await
    }

    /// Waits until the containers of services that were removed are gone.
    async fn until_ended(
        &self,
        engine: &Engine,
        resource: &ResourceRef,
        workload: Option<&str>,
    ) -> Result<(), ProviderError> {
        let until = tokio::time::Instant::now() + REMOVAL;
        loop {
            let left = things::containers(engine, ID, resource).await?;
            let counts =
                |thing: &things::Thing| workload.is_none_or(|name| thing.label(labels::WORKLOAD) == name);
            if !left.iter().any(counts) {
                return Ok(());
            }
            if tokio::time::Instant::now() > until {
                return Err(ProviderError::temporary("containers of the swarm are still ending"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Removes an organisation's network when nothing is in it. The swarm lets it go a little after the last service.
    async fn leave_network(&self, engine: &Engine, resource: &ResourceRef) -> Result<(), ProviderError> {
        let _alone = self.ground.networks.write().await;
        let filters = labels::filter_org(ID, &resource.org);
        let options = ListServicesOptionsBuilder::new().filters(&filters).build();
        let left = engine.docker().list_services(Some(options)).await;
        if !left.map_err(failed(engine, "list services"))?.is_empty() {
            return Ok(());
        }
        let until = tokio::time::Instant::now() + REMOVAL;
        while !things::remove_network(engine, ID, &desired::network(&resource.org)).await? {
            if tokio::time::Instant::now() > until {
                return Err(ProviderError::temporary("the network of the organisation is still in use"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// A service of this name.
async fn find(engine: &Engine, name: &str) -> Result<Option<Service>, ProviderError> {
    let found = engine.docker().inspect_service(name, None::<InspectServiceOptions>).await;
    unless(&[NOT_FOUND], found).map_err(failed(engine, "look at a service"))
}

fn labels_of(service: &Service) -> Labels {
    service.spec.as_ref().and_then(|spec| spec.labels.clone()).unwrap_or_default()
}

/// Makes a service, or makes the one that is there like it.
async fn put(engine: &Engine, wanted: &Wanted<'_>) -> Result<(), ProviderError> {
    let name = desired::service(&wanted.order.resource.org, &wanted.spec.name);
    for _ in 0..TRIES {
        let Some(found) = find(engine, &name).await? else {
            let spec = wanted.service(wanted.order.operation.as_str());
            let made = engine.docker().create_service(spec, None).await;
            // Someone was faster.
            if unless(&[CONFLICT], made).map_err(failed(engine, "make a service"))?.is_some() {
                return Ok(());
            }
            continue;
        };
        let known = labels_of(&found);
        labels::own(ID, &wanted.order.resource, &name, &known)?;
        if labels::label(&known, labels::DIGEST) == wanted.digest() {
            return Ok(());
        }
        let version = found.version.and_then(|version| version.index).unwrap_or(0);
        let options =
            UpdateServiceOptionsBuilder::new().version(i32::try_from(version).unwrap_or(i32::MAX)).build();
        // The operation that made it stays its label.
        let spec = wanted.service(labels::label(&known, OPERATION_LABEL));
        match engine.docker().update_service(&name, spec, options, None).await {
            Ok(_) => return Ok(()),
            Err(error) if error.to_string().contains("out of sequence") => {}
            Err(error) => return Err(failed(engine, "change a service")(error)),
        }
    }
    Err(ProviderError::temporary(format!("`{name}` is being changed by someone else as well")))
}

/// The services of a resource.
async fn services(engine: &Engine, resource: &ResourceRef) -> Result<Vec<Service>, ProviderError> {
    let options = ListServicesOptionsBuilder::new().filters(&labels::filter(ID, resource)).build();
    engine.docker().list_services(Some(options)).await.map_err(failed(engine, "list services"))
}

async fn remove(engine: &Engine, service: &str) -> Result<(), ProviderError> {
    let removed = engine.docker().delete_service(service).await;
    unless(&[NOT_FOUND], removed).map_err(failed(engine, "remove a service")).map(drop)
}

#[async_trait]
impl Provider for SwarmProvider {
    fn id(&self) -> &'static str {
        ID
    }

    async fn describe(&self) -> ProviderView {
        let room = async {
            let (engine, info, _) = self.manager().await?;
            let filters = HashMap::from([("label", vec![format!("{}={ID}", labels::PROVIDER)])]);
            let options = ListServicesOptionsBuilder::new().filters(&filters).build();
            let all = engine.docker().list_services(Some(options)).await;
            let known: Vec<Labels> =
                all.map_err(failed(&engine, "list services"))?.iter().map(labels_of).collect();
            Ok(things::room(&info, known.iter().map(|known| labels::label(known, labels::SET_ASIDE))))
        };
        self.ground.view("a swarm that the Docker Engine of this machine manages", room.await)
    }

    async fn deploy(&self, order: &Order) -> Result<(), ProviderError> {
        let (engine, _, node) = self.manager().await?;
        for spec in &order.workloads {
            possible(spec)?;
        }
        for spec in &order.workloads {
            self.needs(&engine, order, spec).await?;
            self.apply(&engine, &node, order, spec).await?;
        }
        Ok(())
    }

    async fn status(&self, resource: &ResourceRef) -> Result<Standing, ProviderError> {
        self.standing(resource).await
    }

    async fn rotate(&self, order: &Order) -> Result<(), ProviderError> {
        // Another value is another secret, and what uses it is started anew with it; a group has files.
        self.deploy(order).await?;
        let engine = self.ground.link.engine().await?;
        for spec in order.workloads.iter().filter(|spec| spec.containers().len() > 1) {
            joined::tell(&engine, ID, order, spec).await?;
        }
        Ok(())
    }

    async fn run_job(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        let [job] = order.workloads.as_slice() else {
            return Err(ProviderError::lasting("a job is one workload"));
        };
        let (engine, _, node) = self.manager().await?;
        self.job(&engine, &node, order, job).await
    }

    async fn destroy(&self, resource: &ResourceRef) -> Result<(), ProviderError> {
        // One that manages no swarm any more has nothing of it either, and cannot say so.
        let (engine, _, _) = self.manager().await?;
        for service in services(&engine, resource).await? {
            remove(&engine, service.id.as_deref().unwrap_or_default()).await?;
        }
        let member = |thing: &things::Thing| thing.labels.contains_key(labels::CONTAINER);
        things::remove_containers(&engine, ID, resource, member).await?;
        self.until_ended(&engine, resource, None).await?;
        secret_files::remove(&self.ground.options.files(), resource, None)?;
        things::remove_volumes(&engine, ID, resource, &self.ground.options.places).await?;
        secrets::sweep(&engine, resource, None, &BTreeSet::new()).await?;
        self.leave_network(&engine, resource).await?;
        // Images are shared; one that cannot go now goes the next time.
        if let Err(error) = self.ground.copies.sweep(&engine).await {
            tracing::debug!(%error, "copies of images in Docker were not swept");
        }
        Ok(())
    }

    async fn logs(&self, resource: &ResourceRef, lines: usize) -> Result<Vec<String>, ProviderError> {
        let (engine, _, _) = self.manager().await?;
        let mut all = Vec::new();
        let mut found = things::containers(&engine, ID, resource).await?;
        // What has ended first: the newest lines last.
        found.sort_by_key(things::Thing::runs);
        for thing in found {
            all.extend(things::last_lines(&engine, &thing.id, lines).await?);
        }
        Ok(all)
    }

    async fn metrics(&self, resource: &ResourceRef) -> Result<Option<ResourceUse>, ProviderError> {
        let (engine, _, _) = self.manager().await?;
        metrics::of(&engine, ID, resource, &self.ground.options.places).await
    }

    async fn owned(&self, resource: &ResourceRef) -> Result<Vec<String>, ProviderError> {
        let (engine, _, _) = self.manager().await?;
        let mut names = Vec::new();
        for service in services(&engine, resource).await? {
            names.push(format!("service/{}", service.spec.and_then(|spec| spec.name).unwrap_or_default()));
        }
        for secret in secrets::list(&engine, resource).await? {
            names.push(format!("secret/{}", secret.spec.and_then(|spec| spec.name).unwrap_or_default()));
        }
        for thing in things::containers(&engine, ID, resource).await? {
            if thing.labels.contains_key(labels::CONTAINER) {
                names.push(format!("container/{}", thing.name));
            }
        }
        if secret_files::of_resource(&self.ground.options.files(), resource).exists() {
            names.push("secrets".to_owned());
        }
        let volumes = things::volumes(&engine, ID, resource).await?;
        let places = self.ground.options.places.names(resource);
        let volumes: BTreeSet<String> = volumes.into_iter().chain(places).collect();
        names.extend(volumes.into_iter().map(|volume| format!("volume/{volume}")));
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
            let (_, info, node) = self.manager().await?;
            Ok(format!("{node} on {}", info.name.unwrap_or_default()))
        });
        place.await.cloned()
    }
}
