//! What the providers of an engine stand on: the engine that they ask, and what they hold while they change it.

use std::collections::BTreeSet;

use tokio::sync::{Mutex, OnceCell, RwLock};
use univrs_model::resource::Amount;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{ProviderError, ProviderView};

use super::copies::Copies;
use super::link::Link;
use super::{EngineOptions, joined, ports, secret_files, things};

/// The ground of one provider.
pub(crate) struct Ground {
    /// The provider's id.
    pub(crate) id: &'static str,
    pub(crate) options: EngineOptions,
    pub(crate) link: Link,
    pub(crate) copies: Copies,
    /// Held while something joins a network, and alone by who removes one that nothing is in.
    pub(crate) networks: RwLock<()>,
    /// Held by who makes a network: Docker would make two of one name.
    pub(crate) making: Mutex<()>,
    /// Which engine it is; another one does not come to listen at the same socket meanwhile.
    pub(crate) place: OnceCell<String>,
}

impl Ground {
    pub(crate) fn new(id: &'static str, options: EngineOptions) -> Self {
        let (link, copies) = (Link::new(options.socket.clone()), Copies::new(options.images.clone()));
        Self {
            id,
            options,
            link,
            copies,
            networks: RwLock::default(),
            making: Mutex::default(),
            place: OnceCell::new(),
        }
    }

    /// What the provider says of itself, from what is left of the machine and how much is set aside.
    pub(crate) fn view(&self, description: &str, room: Result<(Amount, u8), ProviderError>) -> ProviderView {
        let view = ProviderView {
            id: self.id.to_owned(),
            description: description.to_owned(),
            available: false,
            message: String::new(),
            room: None,
            used: None,
            region: String::new(),
        };
        match room {
            Ok((room, used)) => ProviderView { available: true, room: Some(room), used: Some(used), ..view },
            Err(error) => ProviderView { message: error.to_string(), ..view },
        }
    }

    /// Ports of the machine that programs listen at or containers have.
    pub(crate) async fn taken_ports(&self) -> Result<BTreeSet<u16>, ProviderError> {
        let engine = self.link.engine().await?;
        let mut taken = ports::listening();
        taken.extend(things::published(&engine).await?);
        Ok(taken)
    }
}

/// How many of a workload there are; this machine is the only node.
pub(crate) fn replicas(spec: &WorkloadSpec) -> u32 {
    if joined::is_job(spec) { 1 } else { spec.replicas }
}

/// Refuses what an engine cannot do, before anything is made.
pub(crate) fn possible(spec: &WorkloadSpec) -> Result<(), ProviderError> {
    secret_files::refuse_variables(spec)?;
    if let Some(volume) = spec.volumes.iter().find(|volume| volume.host_path.is_some()) {
        return Err(ProviderError::lasting(format!(
            "the volume `{}` of `{}` is a directory of a node, which only the provider `mesh` can give",
            volume.name, spec.name
        )));
    }
    if replicas(spec) > 1 && !spec.requests().host_ports.is_empty() {
        return Err(ProviderError::lasting(format!(
            "`{}` has {} replicas and a port of the host, and one machine can give that to one only",
            spec.name, spec.replicas
        )));
    }
    Ok(())
}
