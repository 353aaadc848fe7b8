//! A workload of several containers: a service holds the network with its names and ports of the host, and the
//! containers join that of its task. They are containers of this machine's engine, not of the swarm: it would neither let
//! them share a network nor start them in order. When the swarm replaces the task, they are made anew in its network.

use std::time::Duration;

use bollard::models::TaskState;
use univrs_docker::engine::Engine;
use univrs_docker::pause;
use univrs_docker::users::User;
use univrs_model::workload::{ContainerSpec, WorkloadSpec};
use univrs_ports::provider::{Order, ProviderError};

use super::desired::{self, Wanted};
use super::standing::{state, tasks};
use super::{ID, SwarmProvider, put};
use crate::engine::ground::replicas;
use crate::engine::joined::{self, Joined};
use crate::engine::things::WantedVolume;
use crate::engine::{labels, secret_files, things};

/// How long the swarm may take to begin what holds a network.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(100);

impl SwarmProvider {
    /// Makes a group like the order.
    pub(super) async fn group(
        &self,
        engine: &Engine,
        node: &str,
        order: &Order,
        spec: &WorkloadSpec,
    ) -> Result<(), ProviderError> {
        if joined::is_job(spec) {
            let reason =
                format!("the job `{}` has several containers, which a swarm cannot run together", spec.name);
            return Err(ProviderError::lasting(reason));
        }
        let resource = &order.resource;
        let containers = spec.containers();
        let mut copies = Vec::new();
        for container in &containers {
            copies.push(self.ground.copies.ensure(engine, &container.image).await?);
        }
        let pause = self.ground.copies.ensure_pause(engine).await?;
        let _joining = self.ground.networks.read().await;
        self.network(engine, resource).await?;
        let holder = holder(spec, &containers, &pause);
        let wanted = Wanted {
            order,
            spec,
            container: &holder,
            image: pause,
            user: User { uid: 0, gid: 0, groups: Vec::new() },
            secrets: Vec::new(),
            node: node.to_owned(),
            holds: true,
        };
        put(engine, &wanted).await?;
        let holders = self.holders(engine, &wanted).await?;
        let beyond = |thing: &things::Thing| {
            thing.label(labels::WORKLOAD) == spec.name.as_str()
                && thing.labels.contains_key(labels::CONTAINER)
                && thing.label(labels::INDEX).parse::<u32>().is_ok_and(|slot| slot > replicas(spec))
        };
        things::remove_containers(engine, ID, resource, beyond).await?;
        let secrets = self.ground.options.open_files()?;
        for (slot, holder) in holders {
            let base = desired::base(&resource.org, &spec.name, &slot.to_string());
            let mut with = desired::labels_of(order, spec);
            with.insert(labels::INDEX.to_owned(), slot.to_string());
            for (container, copy) in containers.iter().zip(&copies) {
                let user = things::user_of(container, copy)?;
                for mount in &container.mounts {
                    let name = format!("{base}.{}", mount.volume);
                    let volume = WantedVolume::new(spec, &mount.volume, &name, with.clone(), &user);
                    things::volume(engine, ID, resource, &self.ground.options.places, volume).await?;
                }
                let files = secret_files::write(&secrets, order, spec, slot, &container.name, &user)?;
                let joined = Joined {
                    base: &base,
                    labels: with.clone(),
                    spec,
                    container,
                    image: &copy.name,
                    files: &files,
                };
                let placed = joined::put(engine, ID, resource, joined.wanted(&holder, true), None).await?;
                joined::begin(engine, spec, &placed, false).await?;
            }
        }
        Ok(())
    }

    /// The containers that hold the networks of all replicas, by slot, once the swarm has begun them.
    async fn holders(
        &self,
        engine: &Engine,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<(u32, String)>, ProviderError> {
        let name = desired::service(&wanted.order.resource.org, &wanted.spec.name);
        let digest = wanted.digest();
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut found: Vec<(u32, String)> = Vec::new();
            for task in tasks(engine, &name).await? {
                let of_this = || {
                    let spec = task.spec.as_ref()?.container_spec.as_ref()?;
                    Some(labels::label(spec.labels.as_ref()?, labels::DIGEST) == digest)
                };
                let container = || task.status.as_ref()?.container_status.as_ref()?.container_id.clone();
                if state(&task) == Some(TaskState::RUNNING)
                    && of_this() == Some(true)
                    && let (Some(slot), Some(id)) = (task.slot, container())
                {
                    found.push((u32::try_from(slot).unwrap_or(0), id));
                }
            }
            found.sort();
            found.dedup_by_key(|(slot, _)| *slot);
            if found.len() == replicas(wanted.spec) as usize {
                return Ok(found);
            }
            if tokio::time::Instant::now() > until {
                return Err(ProviderError::temporary(format!(
                    "`{}`: the swarm has begun {} of {} networks",
                    wanted.spec.name,
                    found.len(),
                    replicas(wanted.spec)
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What holds the network of a group: it has all its ports, and what all of it asks for is set aside for it.
fn holder(spec: &WorkloadSpec, containers: &[ContainerSpec], image: &str) -> ContainerSpec {
    let mut holder = ContainerSpec::of_image("network", image);
    let requests = spec.requests();
    holder.command = vec![pause::PROGRAM.to_owned()];
    holder.ports = containers.iter().flat_map(|container| container.ports.clone()).collect();
    holder.resources.cpu = requests.cpu;
    holder.resources.memory = requests.memory;
    holder
}
