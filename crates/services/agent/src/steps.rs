//! Carries out the steps of an instance's life: the only place where runtime, images and network are called.
//!
//! Each step may be carried out twice without harm, because each call of the ports may.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use univrs_model::Timestamp;
use univrs_model::event::Event;
use univrs_model::ids::InstanceId;
use univrs_model::instance::{Desired, InstanceOrder};
use univrs_model::name::Name;
use univrs_model::secret::SecretVersion;
use univrs_model::span::Span;
use univrs_model::volume::{path, place};
use univrs_model::workload::ContainerSpec as Wanted;
use univrs_ports::images::{ImageError, PreparedImage, PullPolicy};
use univrs_ports::network::{AttachRequest, Attachment, NetworkError};
use univrs_ports::runtime::{ContainerId, ContainerState, RuntimeError, Sandbox};
use univrs_ports::secrets::SecretError;
use univrs_rollout::life::{LifeStep, ProbeResult};

use crate::agent::Machine;
use crate::container::{self, Impossible, Surroundings};
use crate::events;
use crate::probe;

/// Time between taking an instance out of names and routes and asking it to end, so that requests on their way
/// still arrive.
const DRAIN: Duration = Duration::from_millis(300);

/// Pause before secrets that could not be renewed are tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(2);

/// Why a step failed.
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) temporary: bool,
}

/// What a step has brought about.
pub(crate) enum Effect {
    /// The images of all containers.
    Images(Result<BTreeMap<Name, PreparedImage>, Fault>),
    /// Whether storage is ready now.
    Storage(Result<bool, Fault>),
    /// Whether there is a sandbox now.
    Sandbox(Result<bool, Fault>),
    /// The place in the network, if there is one now.
    Network(Result<Option<Attachment>, Fault>),
    /// A container was started with these values of secrets, or not.
    Started {
        name: Name,
        attempt: u32,
        result: Result<(ContainerState, BTreeMap<Name, SecretVersion>), Fault>,
    },
    /// A running container has these values of secrets now, or not.
    Renewed { name: Name, result: Result<Renewal, Fault> },
    /// A container was asked to end; this is what is left of it, if the runtime could be asked.
    Stopped { name: Name, state: Result<Option<ContainerState>, Fault> },
    /// A container was probed.
    Probed { name: Name, result: ProbeResult },
}

/// What has come of renewing a container's secrets.
pub(crate) struct Renewal {
    /// The values that it has now.
    pub(crate) versions: BTreeMap<Name, SecretVersion>,
    /// Whose log the event goes to.
    pub(crate) org: Name,
    /// What is told of it.
    pub(crate) event: Event,
}

/// What a step may need.
pub(crate) struct Around {
    pub(crate) id: InstanceId,
    pub(crate) machine: Machine,
    /// Absent when only remains are cleared.
    pub(crate) order: Option<InstanceOrder>,
    pub(crate) images: BTreeMap<Name, PreparedImage>,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) now: Timestamp,
}

/// Carries out one step.
pub(crate) async fn carry_out(around: Around, step: LifeStep) -> Effect {
    match step {
        LifeStep::PrepareImages => Effect::Images(around.prepare_images().await),
        LifeStep::PrepareStorage => Effect::Storage(around.prepare_storage().await.map(|()| true)),
        LifeStep::ReleaseStorage => Effect::Storage(around.release_storage().map(|()| false)),
        LifeStep::OpenSandbox => Effect::Sandbox(around.open_sandbox().await.map(|_| true)),
        LifeStep::CloseSandbox => Effect::Sandbox(
            around.machine.runtime.close_sandbox(&around.id).await.map(|()| false).map_err(Fault::from),
        ),
        LifeStep::Attach => Effect::Network(around.attach().await.map(Some)),
        LifeStep::Detach => Effect::Network(
            around.machine.network.detach(&around.id).await.map(|()| None).map_err(Fault::from),
        ),
        LifeStep::StartContainer { name, attempt } => {
            let result = around.start(&name, attempt).await;
            Effect::Started { name, attempt, result }
        }
        LifeStep::StopContainer { name, grace } => {
            let state = around.stop(&name, grace).await;
            Effect::Stopped { name, state }
        }
        LifeStep::RenewSecrets { name } => {
            let result = around.renew_secrets(&name).await;
            if result.is_err() {
                tokio::time::sleep(RENEWAL_PAUSE).await;
            }
            Effect::Renewed { name, result }
        }
        LifeStep::Probe { name } => {
            let result = around.probe(&name).await;
            Effect::Probed { name, result }
        }
    }
}

impl Around {
    fn container_id(&self, name: &Name) -> ContainerId {
        ContainerId { instance: self.id.clone(), container: name.clone() }
    }

    fn order(&self) -> Result<&InstanceOrder, Fault> {
        self.order.as_ref().ok_or_else(|| Fault { message: "its order is gone".to_owned(), temporary: true })
    }

    fn wanted(&self, name: &Name) -> Result<Wanted, Fault> {
        let found = self.order()?.spec.containers().into_iter().find(|container| container.name == *name);
        found.ok_or_else(|| Fault {
            message: format!("the workload has no container `{name}`"),
            temporary: false,
        })
    }

    async fn prepare_images(&self) -> Result<BTreeMap<Name, PreparedImage>, Fault> {
        let mut images = BTreeMap::new();
        for container in self.order()?.spec.containers() {
            let image = self.machine.images.prepare(&container.image, PullPolicy::IfAbsent).await?;
            images.insert(container.name, image);
        }
        Ok(images)
    }

    /// Where an instance's own files lie: short-lived, made again at each start.
    fn files_dir(&self) -> PathBuf {
        self.machine.instances_dir.join(self.id.as_str())
    }

    /// Where a volume lies: it belongs to the place among the siblings, so that a replacement finds its data.
    fn volume_dir(&self, order: &InstanceOrder, volume: &Name) -> PathBuf {
        self.machine.volumes_dir.join(self.volume_path(order, volume))
    }

    /// The same, below the directory of volumes.
    fn volume_path(&self, order: &InstanceOrder, volume: &Name) -> PathBuf {
        let assignment = &order.assignment;
        let place = place(assignment, &order.spec).unwrap_or_else(|| assignment.slot.to_string());
        path(&assignment.org, &assignment.workload, volume, &place)
    }

    async fn prepare_storage(&self) -> Result<(), Fault> {
        let order = self.order()?;
        // Asked for now, so that an instance waits here and not in a row of failed starts. What comes is dropped.
        self.machine.secrets.values(order).await?;
        let make = |dir: PathBuf| {
            std::fs::create_dir_all(&dir).map_err(|error| Fault {
                message: format!("failed to create {}: {error}", dir.display()),
                temporary: true,
            })
        };
        make(self.files_dir())?;
        self.make_volumes(order).await?;
        for path in order.spec.volumes.iter().filter_map(|volume| volume.host_path.as_deref()) {
            self.may_bind(Path::new(path))?;
        }
        Ok(())
    }

    /// Makes the volumes that are missing, and mounts those that are not: a container that starts without its volume
    /// would write beside it.
    async fn make_volumes(&self, order: &InstanceOrder) -> Result<(), Fault> {
        for volume in order.spec.local_volumes() {
            let at = self.volume_path(order, &volume.name);
            self.machine
                .volumes
                .ensure(&at, volume.limit.or(volume.size))
                .await
                .map_err(|error| Fault { message: error.to_string(), temporary: true })?;
        }
        Ok(())
    }

    /// Whether a directory of this machine may be bound, links resolved.
    fn may_bind(&self, path: &Path) -> Result<(), Fault> {
        let refuse = |reason: String| Fault { message: reason, temporary: false };
        let real = path
            .canonicalize()
            .map_err(|error| refuse(format!("{} cannot be bound: {error}", path.display())))?;
        let allowed = |root: &PathBuf| root.canonicalize().is_ok_and(|root| real.starts_with(root));
        if self.machine.bind_paths.iter().any(allowed) {
            return Ok(());
        }
        Err(refuse(format!(
            "this node does not let {} be bound; start it with `--allow-bind`",
            real.display()
        )))
    }

    fn release_storage(&self) -> Result<(), Fault> {
        self.machine.secrets.forget(&self.id).map_err(|error| Fault {
            message: format!("failed to remove its secrets: {error}"),
            temporary: true,
        })?;
        let dir = self.files_dir();
        match std::fs::remove_dir_all(&dir) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Fault {
                message: format!("failed to remove {}: {error}", dir.display()),
                temporary: true,
            }),
        }
    }

    async fn open_sandbox(&self) -> Result<Sandbox, Fault> {
        let hostname = container::hostname(self.order()?);
        Ok(self.machine.runtime.open_sandbox(&self.id, &hostname).await?)
    }

    async fn attach(&self) -> Result<Attachment, Fault> {
        let order = self.order()?;
        let sandbox = self.open_sandbox().await?;
        let request = AttachRequest {
            instance: self.id.clone(),
            org: order.assignment.org.clone(),
            netns: sandbox.netns.unwrap_or_default(),
            ports: container::published_ports(order),
        };
        Ok(self.machine.network.attach(&request).await?)
    }

    fn surroundings(&self, order: &InstanceOrder) -> Result<Surroundings, Fault> {
        let dir = self.files_dir();
        let mut files = Vec::new();
        let mut write = |name: &str, text: String| {
            let path = dir.join(name);
            std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&path, text)).map_err(|error| {
                Fault { message: format!("failed to write {}: {error}", path.display()), temporary: true }
            })?;
            files.push((path, PathBuf::from("/etc").join(name)));
            Ok::<(), Fault>(())
        };
        let address = self.attachment.as_ref().map_or(Ipv4Addr::LOCALHOST, |attachment| attachment.address);
        write("hosts", container::hosts_file(order, address))?;
        write("hostname", container::hostname(order) + "\n")?;
        if let Some(gateway) = self.machine.network.gateway() {
            write("resolv.conf", container::resolv_file(order, gateway))?;
        }
        let volumes = order
            .spec
            .volumes
            .iter()
            .map(|volume| {
                let dir = match &volume.host_path {
                    Some(path) => PathBuf::from(path),
                    None => self.volume_dir(order, &volume.name),
                };
                (volume.name.clone(), dir)
            })
            .collect();
        Ok(Surroundings { files, volumes })
    }

    async fn start(
        &self,
        name: &Name,
        attempt: u32,
    ) -> Result<(ContainerState, BTreeMap<Name, SecretVersion>), Fault> {
        let order = self.order()?;
        let wanted = self.wanted(name)?;
        if attempt > 0 {
            // What ended the container may have taken its namespaces along: a restart of the engine that made them.
            self.attach().await?;
        }
        // After a restart of the daemon the image may not have been looked up yet.
        let image = match self.images.get(name) {
            Some(image) => image.clone(),
            None => self.machine.images.prepare(&wanted.image, PullPolicy::IfAbsent).await?,
        };
        self.make_volumes(order).await?;
        let values = self.machine.secrets.values(order).await?;
        let secrets = self.machine.secrets.deliver(order, name, &values).map_err(|error| Fault {
            message: format!("failed to write its secrets: {error}"),
            temporary: true,
        })?;
        drop(values);
        let spec = container::spec(order, &wanted, &image, attempt, &self.surroundings(order)?, &secrets)?;
        Ok((self.machine.runtime.start(&spec).await?, secrets.versions))
    }

    /// Gives a running container the newest values in its files, and says so.
    async fn renew_secrets(&self, name: &Name) -> Result<Renewal, Fault> {
        let order = self.order()?;
        let values = self.machine.secrets.values(order).await?;
        let unwritten = |error: std::io::Error| Fault {
            message: format!("failed to write its secrets: {error}"),
            temporary: true,
        };
        let versions = self.machine.secrets.renew(order, name, &values).map_err(unwritten)?;
        self.machine.runtime.signal(&self.container_id(name), "SIGHUP").await?;
        self.machine.secrets.note(order, name, &versions).map_err(unwritten)?;
        let event = events::secrets_renewed(order, &self.machine.secrets.node, name, self.now);
        Ok(Renewal { versions, org: order.assignment.org.clone(), event })
    }

    async fn stop(&self, name: &Name, grace: Span) -> Result<Option<ContainerState>, Fault> {
        let id = self.container_id(name);
        if self.order.as_ref().is_some_and(|order| order.assignment.desired == Desired::Stop) {
            tokio::time::sleep(DRAIN).await;
        }
        if let Err(error) = self.machine.runtime.stop(&id, grace).await {
            tracing::warn!(container = %id, %error, "a container could not be stopped; trying again");
            tokio::time::sleep(DRAIN).await;
        }
        Ok(self.machine.runtime.inspect(&id).await?)
    }

    async fn probe(&self, name: &Name) -> ProbeResult {
        let outcome = match self.wanted(name) {
            Ok(Wanted { health: Some(check), .. }) => {
                let address = self.attachment.as_ref().map(|attachment| attachment.address);
                probe::probe(&*self.machine.runtime, &self.container_id(name), address, &check).await
            }
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.message),
        };
        ProbeResult { at: self.now, passed: outcome.is_ok(), message: outcome.err().unwrap_or_default() }
    }
}

impl From<ImageError> for Fault {
    fn from(error: ImageError) -> Self {
        Self { temporary: error.is_temporary(), message: error.to_string() }
    }
}

impl From<RuntimeError> for Fault {
    fn from(error: RuntimeError) -> Self {
        let temporary = !matches!(error, RuntimeError::Refused { .. } | RuntimeError::Unusable { .. });
        Self { temporary, message: error.to_string() }
    }
}

impl From<SecretError> for Fault {
    fn from(error: SecretError) -> Self {
        Self { temporary: true, message: error.to_string() }
    }
}

impl From<NetworkError> for Fault {
    fn from(error: NetworkError) -> Self {
        Self { temporary: true, message: error.to_string() }
    }
}

impl From<Impossible> for Fault {
    fn from(error: Impossible) -> Self {
        Self { temporary: false, message: error.to_string() }
    }
}
