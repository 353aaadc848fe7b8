//! Making one replica like what is wanted: its network, volumes, files of secrets, and containers.
//!
//! Each part is looked for under its name first. One that is there and as it should be stays; one that is not is ended
//! and made anew; one that is another's is refused.

use std::collections::BTreeMap;

use univrs_docker::engine::Engine;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{Order, ProviderError};

use super::desired::Replica;
use super::{DockerProvider, ID};
use crate::engine::ground::replicas;
use crate::engine::things::WantedVolume;
use crate::engine::{joined, labels, secret_files, things};

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
                copies.insert(
                    container.image.clone(),
                    self.ground.copies.ensure(engine, &container.image).await?,
                );
            }
        }
        let pause = self.ground.copies.ensure_pause(engine).await?;
        let _joining = self.ground.networks.read().await;
        let (resource, org) = (&wanted.order.resource, &wanted.order.resource.org);
        {
            let _one = self.ground.making.lock().await;
            things::network(engine, ID, org, &labels::network(org), "bridge").await?;
        }
        let secrets = self.ground.options.open_files()?;
        let mut members = Vec::new();
        for container in &containers {
            let copy = &copies[&container.image];
            let user = things::user_of(container, copy)?;
            for mount in &container.mounts {
                let name = wanted.volume(mount.volume.as_str());
                let volume = WantedVolume::new(wanted.spec, &mount.volume, &name, wanted.labels(), &user);
                things::volume(engine, ID, resource, &self.ground.options.places, volume).await?;
            }
            let files = secret_files::write(
                &secrets,
                wanted.order,
                wanted.spec,
                wanted.index,
                &container.name,
                &user,
            )?;
            members.push((container, copy, files));
        }
        let replica = (&wanted.spec.name, wanted.index);
        let holder = joined::put(engine, ID, resource, wanted.holder(&pause), Some(replica)).await?;
        if holder.made {
            // Whatever is left of it is in a network that is gone.
            joined::clear(engine, ID, resource, replica.0, replica.1).await?;
        }
        if !holder.running {
            joined::start(engine, &holder.id).await?;
        }
        let base = wanted.name();
        for (container, copy, files) in members {
            let body = wanted.container(&base, container, &copy.name, &files).wanted(&holder.id, false);
            let placed = joined::put(engine, ID, resource, body, None).await?;
            let stale = !holder.running || placed.started < holder.started;
            joined::begin(engine, wanted.spec, &placed, stale).await?;
        }
        Ok(())
    }
}
