//! Making one replica like what is wanted: its network, volumes, files of secrets, and containers.
//!
//! Each part is looked for under its name first. One that is there and as it should be stays; one that is not is ended
//! and made anew; one that is another's is refused.

use std::collections::BTreeMap;

use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
    RestartContainerOptions, StartContainerOptions,
};
use jiff::Timestamp;
use univrs_docker::engine::{CONFLICT, Engine, NOT_FOUND, unless};
use univrs_model::name::Name;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{Order, ProviderError, ResourceRef};

use super::desired::{Replica, Wanted};
use super::{DockerProvider, ID, replicas};
use crate::engine::link::failed;
use crate::engine::{labels, secret_files, things};

/// How often something that others make at the same time is looked for again.
const TRIES: usize = 5;

/// A container that is there.
struct Placed {
    id: String,
    running: bool,
    started: Option<Timestamp>,
    made: bool,
}

impl DockerProvider {
    /// Removes replicas that are not wanted any more.
    pub(super) async fn shrink(
        &self,
        engine: &Engine,
        order: &Order,
        spec: &WorkloadSpec,
    ) -> Result<(), ProviderError> {
        let wanted = replicas(spec);
        let beyond = |thing: &things::Thing| {
            thing.label(labels::WORKLOAD) == spec.name.as_str()
                && thing.label(labels::INDEX).parse::<u32>().is_ok_and(|index| index >= wanted)
        };
        things::remove_containers(engine, ID, &order.resource, beyond).await
    }

    /// Makes a replica, or makes what is there like it.
    pub(super) async fn replica(&self, engine: &Engine, wanted: &Replica<'_>) -> Result<(), ProviderError> {
        let containers = wanted.spec.containers();
        let mut copies = BTreeMap::new();
        for container in &containers {
            if !copies.contains_key(&container.image) {
                copies.insert(container.image.clone(), self.copies.ensure(engine, &container.image).await?);
            }
        }
        let pause = self.copies.ensure_pause(engine).await?;
        let _joining = self.networks.read().await;
        let (resource, org) = (&wanted.order.resource, &wanted.order.resource.org);
        {
            let _one = self.making.lock().await;
            things::network(engine, ID, org, &labels::network(org), "bridge").await?;
        }
        let secrets = self.options.open_files()?;
        let mut joined = Vec::new();
        for container in &containers {
            let copy = &copies[&container.image];
            let user = things::user_of(container, copy)?;
            for mount in &container.mounts {
                let name = wanted.volume(mount.volume.as_str());
                things::volume(engine, ID, resource, &name, wanted.labels(), &user).await?;
            }
            let files = secret_files::write(
                &secrets,
                wanted.order,
                wanted.spec,
                wanted.index,
                &container.name,
                &user,
            )?;
            joined.push((container, copy, files));
        }
        let holder = self.put(engine, resource, wanted.holder(&pause), Some(wanted)).await?;
        if holder.made {
            // Whatever is left of it is in a network that is gone.
            self.clear(engine, wanted).await?;
        }
        if !holder.running {
            start(engine, &holder.id).await?;
        }
        for (container, copy, files) in joined {
            let body = wanted.container(&holder.id, container, &copy.name, &files);
            let placed = self.put(engine, resource, body, None).await?;
            let stale = !holder.running || placed.started < holder.started;
            if !placed.running {
                start(engine, &placed.id).await?;
            } else if stale && !placed.made {
                restart(engine, &placed.id).await?;
            }
        }
        Ok(())
    }

    /// Removes the containers of a replica that join its network.
    async fn clear(&self, engine: &Engine, wanted: &Replica<'_>) -> Result<(), ProviderError> {
        let (workload, index) = (wanted.spec.name.as_str(), wanted.index.to_string());
        for thing in things::containers(engine, ID, &wanted.order.resource).await? {
            let of_it = thing.label(labels::WORKLOAD) == workload && thing.label(labels::INDEX) == index;
            if of_it && thing.labels.contains_key(labels::CONTAINER) {
                things::end(engine, &thing.id).await?;
            }
        }
        Ok(())
    }

    /// Makes a container, or leaves the one that is as it should be. Where it holds the network of a replica, what has
    /// joined that ends before it is made anew.
    async fn put(
        &self,
        engine: &Engine,
        resource: &ResourceRef,
        wanted: Wanted,
        holds: Option<&Replica<'_>>,
    ) -> Result<Placed, ProviderError> {
        for _ in 0..TRIES {
            let found =
                engine.docker().inspect_container(&wanted.name, None::<InspectContainerOptions>).await;
            let found = unless(&[NOT_FOUND], found).map_err(failed(engine, "look at a container"))?;
            let Some(found) = found else {
                let options = CreateContainerOptionsBuilder::new().name(&wanted.name).build();
                let created = engine.docker().create_container(Some(options), wanted.body.clone()).await;
                match unless(&[CONFLICT], created).map_err(failed(engine, "make a container"))? {
                    Some(created) => {
                        return Ok(Placed { id: created.id, running: false, started: None, made: true });
                    }
                    // Someone was faster.
                    None => continue,
                }
            };
            let known = found.config.and_then(|config| config.labels).unwrap_or_default();
            labels::own(ID, resource, &wanted.name, &known)?;
            let id = found.id.unwrap_or_default();
            if labels::label(&known, labels::DIGEST) == wanted.digest {
                let state = found.state.unwrap_or_default();
                let started = state.started_at.and_then(|text| text.parse().ok());
                // One that waits for its next start counts: starting it again would be refused.
                let running = state.running == Some(true) || state.restarting == Some(true);
                return Ok(Placed { id, running, started, made: false });
            }
            if let Some(replica) = holds {
                self.clear(engine, replica).await?;
            }
            things::end(engine, &id).await?;
        }
        Err(ProviderError::temporary(format!("`{}` is being made by someone else as well", wanted.name)))
    }

    /// Tells the containers of a workload that their secrets are new.
    pub(super) async fn tell(
        &self,
        engine: &Engine,
        resource: &ResourceRef,
        workload: &Name,
        by_restart: bool,
    ) -> Result<(), ProviderError> {
        for thing in things::containers(engine, ID, resource).await? {
            let joined = thing.labels.contains_key(labels::CONTAINER);
            if thing.label(labels::WORKLOAD) != workload.as_str() || !joined || !thing.runs() {
                continue;
            }
            if by_restart {
                restart(engine, &thing.id).await?;
                continue;
            }
            let options = KillContainerOptionsBuilder::new().signal("SIGHUP").build();
            let sent = engine.docker().kill_container(&thing.id, Some(options)).await;
            // One that has just ended reads them when it starts again.
            unless(&[NOT_FOUND, CONFLICT], sent).map_err(failed(engine, "send a signal"))?;
        }
        Ok(())
    }
}

async fn start(engine: &Engine, id: &str) -> Result<(), ProviderError> {
    let started = engine.docker().start_container(id, None::<StartContainerOptions>).await;
    unless(&[304], started).map_err(failed(engine, "start a container")).map(drop)
}

async fn restart(engine: &Engine, id: &str) -> Result<(), ProviderError> {
    let restarted = engine.docker().restart_container(id, None::<RestartContainerOptions>).await;
    restarted.map_err(failed(engine, "start a container again"))
}
