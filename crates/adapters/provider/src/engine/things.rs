//! What is in the engine, by its labels: made, found, and removed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, Network, NetworkCreateRequest, PortSummaryTypeEnum,
    SystemInfo, Volume, VolumeCreateRequest,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder, StopContainerOptions,
};
use futures::StreamExt as _;
use univrs_docker::engine::{CONFLICT, Engine, NOT_FOUND, status, unless};
use univrs_docker::users::{self, User};
use univrs_model::name::Name;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::resource::Amount;
use univrs_model::workload::{ContainerSpec, WorkloadSpec};
use univrs_ports::provider::{ProviderError, ResourceRef, percent};

use super::copies::Copy;
use super::labels::{self, Labels};
use super::link::failed;
use super::places::Places;

/// How long the engine may take to remove something that is being removed already.
const REMOVAL: Duration = Duration::from_secs(30);
/// How often something that others make at the same time is looked for again.
const TRIES: usize = 5;
/// How often it is looked whether it has gone.
const LOOK: Duration = Duration::from_millis(50);

/// A container of a resource, as the engine lists it.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) state: ContainerSummaryStateEnum,
    /// In the engine's words, such as `Up 3 seconds (healthy)`.
    pub(crate) status: String,
}

impl Thing {
    fn of(listed: ContainerSummary) -> Option<Self> {
        let name = listed.names?.into_iter().next()?;
        Some(Self {
            id: listed.id?,
            name: name.trim_start_matches('/').to_owned(),
            labels: listed.labels.unwrap_or_default(),
            state: listed.state.unwrap_or(ContainerSummaryStateEnum::EMPTY),
            status: listed.status.unwrap_or_default(),
        })
    }

    pub(crate) fn label(&self, key: &str) -> &str {
        labels::label(&self.labels, key)
    }

    pub(crate) fn runs(&self) -> bool {
        self.state == ContainerSummaryStateEnum::RUNNING
    }
}

/// The containers of a resource, by name.
pub(crate) async fn containers(
    engine: &Engine,
    provider: &str,
    resource: &ResourceRef,
) -> Result<Vec<Thing>, ProviderError> {
    let options =
        ListContainersOptionsBuilder::new().all(true).filters(&labels::filter(provider, resource)).build();
    let listed = engine.docker().list_containers(Some(options)).await;
    let listed = listed.map_err(failed(engine, "list containers"))?;
    let mut found: Vec<Thing> = listed.into_iter().filter_map(Thing::of).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The labels of everything that this provider has made, of all resources.
pub(crate) async fn all_labels(engine: &Engine, provider: &str) -> Result<Vec<Labels>, ProviderError> {
    let filters =
        std::collections::HashMap::from([("label", vec![format!("{}={provider}", labels::PROVIDER)])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = engine.docker().list_containers(Some(options)).await;
    let listed = listed.map_err(failed(engine, "list containers"))?;
    Ok(listed.into_iter().filter_map(|one| one.labels).collect())
}

/// The ports of the host that containers have, ours and others.
pub(crate) async fn published(engine: &Engine) -> Result<BTreeSet<u16>, ProviderError> {
    let listed =
        engine.docker().list_containers(Some(ListContainersOptionsBuilder::new().all(true).build())).await;
    let listed = listed.map_err(failed(engine, "list containers"))?;
    let ports = listed.into_iter().flat_map(|one| one.ports.unwrap_or_default());
    Ok(ports
        .filter(|port| port.typ == Some(PortSummaryTypeEnum::TCP))
        .filter_map(|port| port.public_port)
        .collect())
}

/// Removes the resource's containers that are one of `chosen`, those that hold a network last, and what the image gave
/// them of volumes without a name.
pub(crate) async fn remove_containers(
    engine: &Engine,
    provider: &str,
    resource: &ResourceRef,
    chosen: impl Fn(&Thing) -> bool + Send,
) -> Result<(), ProviderError> {
    let mut found: Vec<Thing> =
        containers(engine, provider, resource).await?.into_iter().filter(|thing| chosen(thing)).collect();
    found.sort_by_key(|thing| !thing.labels.contains_key(labels::CONTAINER));
    for thing in found {
        remove(engine, &thing.id).await?;
    }
    Ok(())
}

/// Ends a container as it wishes to be ended, then removes it.
pub(crate) async fn end(engine: &Engine, id: &str) -> Result<(), ProviderError> {
    let stopped = engine.docker().stop_container(id, None::<StopContainerOptions>).await;
    unless(&[NOT_FOUND, 304], stopped).map_err(failed(engine, "stop a container"))?;
    remove(engine, id).await
}

/// Removes a container at once; one that is gone is fine.
pub(crate) async fn remove(engine: &Engine, id: &str) -> Result<(), ProviderError> {
    let until = tokio::time::Instant::now() + REMOVAL;
    loop {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match unless(&[NOT_FOUND], engine.docker().remove_container(id, Some(options)).await) {
            Ok(_) => return Ok(()),
            // It is being removed already.
            Err(error) if status(&error) == Some(CONFLICT) && tokio::time::Instant::now() < until => {
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => return Err(failed(engine, "remove a container")(error)),
        }
    }
}

/// The names of a resource's volumes.
pub(crate) async fn volumes(
    engine: &Engine,
    provider: &str,
    resource: &ResourceRef,
) -> Result<Vec<String>, ProviderError> {
    let options = ListVolumesOptionsBuilder::new().filters(&labels::filter(provider, resource)).build();
    let listed = engine.docker().list_volumes(Some(options)).await;
    let listed = listed.map_err(failed(engine, "list volumes"))?;
    Ok(listed.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
}

/// Removes a resource's volumes with what they hold.
pub(crate) async fn remove_volumes(
    engine: &Engine,
    provider: &str,
    resource: &ResourceRef,
    places: &Places,
) -> Result<(), ProviderError> {
    for name in volumes(engine, provider, resource).await? {
        let options = RemoveVolumeOptionsBuilder::new().force(true).build();
        let removed = engine.docker().remove_volume(&name, Some(options)).await;
        unless(&[NOT_FOUND], removed).map_err(failed(engine, "remove a volume"))?;
    }
    places.remove(resource).await
}

/// Makes the organisation's network `name`, if there is none.
pub(crate) async fn network(
    engine: &Engine,
    provider: &str,
    org: &Name,
    name: &str,
    driver: &str,
) -> Result<(), ProviderError> {
    for _ in 0..TRIES {
        let found = networks(engine, name).await?;
        if let Some(first) = found.first() {
            let known = first.labels.clone().unwrap_or_default();
            let ours = labels::label(&known, labels::PROVIDER) == provider;
            if !ours || labels::label(&known, labels::ORG) != org.as_str() {
                return Err(ProviderError::lasting(format!(
                    "Docker has a network `{name}` that was not made for the organisation; remove it"
                )));
            }
            if found.len() == 1 {
                return Ok(());
            }
            // Docker makes two of one name when it is asked at once, and then finds neither by it.
            for other in &found[1..] {
                let removed = engine.docker().remove_network(other.id.as_deref().unwrap_or_default()).await;
                unless(&[NOT_FOUND], removed).map_err(failed(engine, "remove a second network"))?;
            }
            continue;
        }
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some(driver.to_owned()),
            // Jobs and people may join one that is not of this machine alone.
            attachable: (driver == "overlay").then_some(true),
            labels: Some(
                [(labels::PROVIDER, provider.to_owned()), (labels::ORG, org.to_string())]
                    .map(|(key, value)| (key.to_owned(), value))
                    .into(),
            ),
            ..NetworkCreateRequest::default()
        };
        let made = engine.docker().create_network(request).await;
        unless(&[CONFLICT], made).map_err(failed(engine, "make a network"))?;
    }
    Err(ProviderError::temporary(format!("the network `{name}` comes and goes")))
}

/// The networks of this very name, the oldest first.
async fn networks(engine: &Engine, name: &str) -> Result<Vec<Network>, ProviderError> {
    let filters = std::collections::HashMap::from([("name", vec![name])]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let listed = engine.docker().list_networks(Some(options)).await;
    let mut found = listed.map_err(failed(engine, "list networks"))?;
    // The filter takes parts of names as well.
    found.retain(|network| network.name.as_deref() == Some(name));
    found.sort_by(|one, other| (&one.created, &one.id).cmp(&(&other.created, &other.id)));
    Ok(found)
}

/// Removes the network `name`, if this provider made it. Answers whether it has gone.
pub(crate) async fn remove_network(
    engine: &Engine,
    provider: &str,
    name: &str,
) -> Result<bool, ProviderError> {
    for network in networks(engine, name).await? {
        if labels::label(&network.labels.unwrap_or_default(), labels::PROVIDER) != provider {
            continue;
        }
        let removed = engine.docker().remove_network(network.id.as_deref().unwrap_or_default()).await;
        match unless(&[NOT_FOUND], removed) {
            Ok(_) => {}
            // Something is in it still: refused, with one code or another.
            Err(error) if matches!(status(&error), Some(400 | 403 | CONFLICT)) => return Ok(false),
            Err(error) => return Err(failed(engine, "remove a network")(error)),
        }
    }
    Ok(true)
}

/// Whether this provider has containers in an organisation.
pub(crate) async fn has_containers(
    engine: &Engine,
    provider: &str,
    org: &Name,
) -> Result<bool, ProviderError> {
    let options =
        ListContainersOptionsBuilder::new().all(true).filters(&labels::filter_org(provider, org)).build();
    let left = engine.docker().list_containers(Some(options)).await;
    Ok(!left.map_err(failed(engine, "list containers"))?.is_empty())
}

/// A volume that is wanted.
pub(crate) struct WantedVolume<'a> {
    pub(crate) name: &'a str,
    /// Beyond which more is refused, where this machine can do that.
    pub(crate) size: Option<Bytes>,
    pub(crate) labels: Labels,
    /// Whose it is while it is empty.
    pub(crate) user: &'a User,
}

impl<'a> WantedVolume<'a> {
    pub(crate) fn new(
        spec: &WorkloadSpec,
        volume: &Name,
        name: &'a str,
        labels: Labels,
        user: &'a User,
    ) -> Self {
        let known = spec.volumes.iter().find(|known| known.name == *volume);
        Self { name, size: known.and_then(|known| known.limit.or(known.size)), labels, user }
    }
}

/// Makes a volume; what is there keeps what it holds, and where it lies.
pub(crate) async fn volume(
    engine: &Engine,
    provider: &str,
    resource: &ResourceRef,
    places: &Places,
    wanted: WantedVolume<'_>,
) -> Result<(), ProviderError> {
    let (name, user) = (wanted.name, wanted.user);
    let found = unless(&[NOT_FOUND], engine.docker().inspect_volume(name).await)
        .map_err(failed(engine, "look at a volume"))?;
    let bound = |volume: &Volume| volume.options.get("device").map(PathBuf::from);
    // One that was made before volumes had places stays where the engine put it.
    let engines_own = found.as_ref().is_some_and(|found| bound(found).is_none_or(|dir| !places.has(&dir)));
    let foreign = found.as_ref().is_some_and(|found| !labels::is_of(provider, resource, &found.labels));
    let dir = match engines_own || foreign {
        true => None,
        // Also of one that is there: it may have to be mounted again, or have grown.
        false => Some(places.ensure(resource, name, wanted.size).await?),
    };
    let volume = match found {
        Some(found) => found,
        None => {
            let options = dir.iter().flat_map(|dir| {
                [("type", "none".to_owned()), ("o", "bind".to_owned()), ("device", dir.display().to_string())]
            });
            let request = VolumeCreateRequest {
                name: Some(name.to_owned()),
                driver: Some("local".to_owned()),
                driver_opts: Some(options.map(|(key, value)| (key.to_owned(), value)).collect()),
                labels: Some(wanted.labels),
                ..VolumeCreateRequest::default()
            };
            engine.docker().create_volume(request).await.map_err(failed(engine, "make a volume"))?
        }
    };
    labels::own(provider, resource, name, &volume.labels)?;
    let at = dir.as_deref().unwrap_or(Path::new(&volume.mountpoint));
    users::give_if_empty(at, user).map_err(|error| {
        ProviderError::lasting(format!(
            "the volume {name} at {} cannot be given to its user: {error}; the engine has to run on this machine",
            at.display()
        ))
    })
}

/// Whom a container runs as.
pub(crate) fn user_of(container: &ContainerSpec, copy: &Copy) -> Result<User, ProviderError> {
    let wanted = container.user.as_deref().unwrap_or(&copy.image.config.user);
    users::look_up_in_layers(&copy.image.layers, wanted)
        .map_err(|reason| ProviderError::lasting(format!("container {}: {reason}", container.name)))
}

/// What is left of the machine, when so much of it is set aside, and how much that is in percent.
pub(crate) fn room<'a>(info: &SystemInfo, set_aside: impl Iterator<Item = &'a str>) -> (Amount, u8) {
    let number = |value: Option<i64>| u64::try_from(value.unwrap_or(0)).unwrap_or(0);
    let (all_cpu, all_memory) = (number(info.ncpu) * 1000, number(info.mem_total));
    let (mut cpu, mut memory) = (all_cpu, all_memory);
    let root = info.docker_root_dir.as_deref().unwrap_or("/");
    let mut disk = nix::sys::statvfs::statvfs(root)
        .map_or(0, |found| found.blocks_available().saturating_mul(found.fragment_size()));
    for text in set_aside {
        let parts: Vec<u64> = text.split('/').filter_map(|part| part.parse().ok()).collect();
        if let [its_cpu, its_memory, its_disk] = parts.as_slice() {
            cpu = cpu.saturating_sub(*its_cpu);
            memory = memory.saturating_sub(*its_memory);
            disk = disk.saturating_sub(*its_disk);
        }
    }
    let used = percent(all_cpu - cpu, all_cpu).max(percent(all_memory - memory, all_memory));
    (Amount { cpu: Cpu::millicores(cpu), memory: Bytes::new(memory), storage: Bytes::new(disk) }, used)
}

/// The last lines that a container wrote, oldest first.
pub(crate) async fn last_lines(
    engine: &Engine,
    id: &str,
    lines: usize,
) -> Result<Vec<String>, ProviderError> {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
    let mut messages = std::pin::pin!(engine.docker().logs(id, Some(options)));
    let mut text = Vec::new();
    while let Some(message) = messages.next().await {
        match unless(&[NOT_FOUND], message).map_err(failed(engine, "read a log"))? {
            Some(message) => text.extend_from_slice(&message.into_bytes()),
            None => break,
        }
    }
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}
