//! What is in the engine, by its labels: found, and removed.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, PortSummaryTypeEnum};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListVolumesOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptionsBuilder, StopContainerOptions,
};
use futures::StreamExt as _;
use univrs_docker::engine::{CONFLICT, Engine, NOT_FOUND, unless};
use univrs_model::name::Name;
use univrs_ports::provider::{ProviderError, ResourceRef};

use super::ID;
use crate::engine::labels::{self, Labels};
use crate::engine::link::failed;

/// How long the engine may take to remove something that is being removed already.
const REMOVAL: Duration = Duration::from_secs(30);
/// How often it is looked whether it has gone.
const LOOK: Duration = Duration::from_millis(50);

/// A container of a resource, as the engine lists it.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) state: ContainerSummaryStateEnum,
    /// In the engine's words, such as `Up 3 seconds (healthy)`.
    pub(super) status: String,
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

    pub(super) fn label(&self, key: &str) -> &str {
        labels::label(&self.labels, key)
    }

    pub(super) fn runs(&self) -> bool {
        self.state == ContainerSummaryStateEnum::RUNNING
    }
}

/// The containers of a resource, by name.
pub(super) async fn containers(engine: &Engine, resource: &ResourceRef) -> Result<Vec<Thing>, ProviderError> {
    let options =
        ListContainersOptionsBuilder::new().all(true).filters(&labels::filter(ID, resource)).build();
    let listed = engine.docker().list_containers(Some(options)).await;
    let listed = listed.map_err(failed(engine, "list containers"))?;
    let mut found: Vec<Thing> = listed.into_iter().filter_map(Thing::of).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The labels of everything that this provider has made, of all resources.
pub(super) async fn all_labels(engine: &Engine) -> Result<Vec<Labels>, ProviderError> {
    let filters =
        std::collections::HashMap::from([("label", vec![format!("{}={ID}", labels::PROVIDER)])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = engine.docker().list_containers(Some(options)).await;
    let listed = listed.map_err(failed(engine, "list containers"))?;
    Ok(listed.into_iter().filter_map(|one| one.labels).collect())
}

/// The ports of the host that containers have, ours and others.
pub(super) async fn published(engine: &Engine) -> Result<BTreeSet<u16>, ProviderError> {
    let listed = engine.docker().list_containers(Some(ListContainersOptionsBuilder::new().all(true).build())).await;
    let listed = listed.map_err(failed(engine, "list containers"))?;
    let ports = listed.into_iter().flat_map(|one| one.ports.unwrap_or_default());
    Ok(ports.filter(|port| port.typ == Some(PortSummaryTypeEnum::TCP)).filter_map(|port| port.public_port).collect())
}

/// Removes the resource's containers that are one of `chosen`, those that hold a network last, and what the image gave
/// them of volumes without a name.
pub(super) async fn remove_containers(
    engine: &Engine,
    resource: &ResourceRef,
    chosen: impl Fn(&Thing) -> bool + Send,
) -> Result<(), ProviderError> {
    let mut found: Vec<Thing> =
        containers(engine, resource).await?.into_iter().filter(|thing| chosen(thing)).collect();
    found.sort_by_key(|thing| !thing.labels.contains_key(labels::CONTAINER));
    for thing in found {
        remove(engine, &thing.id).await?;
    }
    Ok(())
}

/// Ends a container as it wishes to be ended, then removes it.
pub(super) async fn end(engine: &Engine, id: &str) -> Result<(), ProviderError> {
    let stopped = engine.docker().stop_container(id, None::<StopContainerOptions>).await;
    unless(&[NOT_FOUND, 304], stopped).map_err(failed(engine, "stop a container"))?;
    remove(engine, id).await
}

/// Removes a container at once; one that is gone is fine.
pub(super) async fn remove(engine: &Engine, id: &str) -> Result<(), ProviderError> {
    let until = tokio::time::Instant::now() + REMOVAL;
    loop {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match unless(&[NOT_FOUND], engine.docker().remove_container(id, Some(options)).await) {
            Ok(_) => return Ok(()),
            // It is being removed already.
            Err(error)
                if univrs_docker::engine::status(&error) == Some(CONFLICT)
                    && tokio::time::Instant::now() < until =>
            {
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => return Err(failed(engine, "remove a container")(error)),
        }
    }
}

/// The names of a resource's volumes.
pub(super) async fn volumes(engine: &Engine, resource: &ResourceRef) -> Result<Vec<String>, ProviderError> {
    let options = ListVolumesOptionsBuilder::new().filters(&labels::filter(ID, resource)).build();
    let listed = engine.docker().list_volumes(Some(options)).await;
    let listed = listed.map_err(failed(engine, "list volumes"))?;
    Ok(listed.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
}

/// Removes a resource's volumes with what they hold.
pub(super) async fn remove_volumes(engine: &Engine, resource: &ResourceRef) -> Result<(), ProviderError> {
    for name in volumes(engine, resource).await? {
        let options = RemoveVolumeOptionsBuilder::new().force(true).build();
        let removed = engine.docker().remove_volume(&name, Some(options)).await;
        unless(&[NOT_FOUND], removed).map_err(failed(engine, "remove a volume"))?;
    }
    Ok(())
}

/// Removes an organisation's network, if no container of ours is to be in it.
pub(super) async fn remove_network_if_empty(engine: &Engine, org: &Name) -> Result<(), ProviderError> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(&labels::filter_org(ID, org)).build();
    let left = engine.docker().list_containers(Some(options)).await;
    if !left.map_err(failed(engine, "list containers"))?.is_empty() {
        return Ok(());
    }
    let name = labels::network(org);
    let found = engine.docker().inspect_network(&name, None::<bollard::query_parameters::InspectNetworkOptions>).await;
    let found = unless(&[NOT_FOUND], found).map_err(failed(engine, "look at a network"))?;
    let ours = found.is_some_and(|found| labels::label(&found.labels.unwrap_or_default(), labels::PROVIDER) == ID);
    if !ours {
        return Ok(());
    }
    let removed = engine.docker().remove_network(&name).await;
    // What somebody else has put into it keeps it.
    unless(&[NOT_FOUND, CONFLICT, 403], removed).map_err(failed(engine, "remove a network"))?;
    Ok(())
}

/// The last lines that a container wrote, oldest first.
pub(super) async fn last_lines(engine: &Engine, id: &str, lines: usize) -> Result<Vec<String>, ProviderError> {
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
