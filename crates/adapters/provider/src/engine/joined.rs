//! Containers that join the network of another one, which holds it: what they are made from, and how they are made and
//! started. The container that holds a network is a provider's own matter.

use bollard::models::{
    ContainerCreateBody, ContainerStateStatusEnum, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount as DockerMount, MountBindOptions, MountBindOptionsPropagationEnum, MountType, MountVolumeOptions,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
    RestartContainerOptions, StartContainerOptions,
};
use jiff::Timestamp;
use univrs_docker::engine::{CONFLICT, Engine, NOT_FOUND, unless};
use univrs_model::name::Name;
use univrs_model::policy::RestartWhen;
use univrs_model::span::Span;
use univrs_model::workload::{ContainerSpec, HealthCheck, OnChange, WorkloadKind, WorkloadSpec};
use univrs_ports::provider::{Order, ProviderError, ResourceRef};

use super::labels::{self, Labels};
use super::link::failed;
use super::secret_files::SecretFile;
use super::things;

/// Changes when the same order is to make other containers than before.
pub(crate) const VERSION: u32 = 1;
/// How many processes and threads a container may have.
pub(crate) const PIDS: i64 = 4096;
/// How often something that others make at the same time is looked for again.
const TRIES: usize = 5;
/// What programs may do beyond their user; the `oci` runtime grants the same.
pub(crate) const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// A container that is wanted.
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// Digest of what it is made from; the operation that asks does not count.
    pub(crate) digest: String,
    pub(crate) body: ContainerCreateBody,
}

/// A container that is there.
pub(crate) struct Placed {
    pub(crate) id: String,
    pub(crate) running: bool,
    pub(crate) started: Option<Timestamp>,
    pub(crate) made: bool,
    /// It ran to its end.
    pub(crate) ended: bool,
}

/// One container of a replica.
pub(crate) struct Joined<'a> {
    /// What its name and those of its volumes begin with.
    pub(crate) base: &'a str,
    /// The labels of everything that is of its replica.
    pub(crate) labels: Labels,
    pub(crate) spec: &'a WorkloadSpec,
    pub(crate) container: &'a ContainerSpec,
    /// Its image in the engine.
    pub(crate) image: &'a str,
    pub(crate) files: &'a [SecretFile],
}

impl Joined<'_> {
    /// The container in the network that the container `holder` of the engine holds. Where another holder is another
    /// network for good, it is `tied` to it and made anew.
    pub(crate) fn wanted(&self, holder: &str, tied: bool) -> Wanted {
        let container = self.container;
        let check = container.health.as_ref().filter(|check| check.exec.is_none());
        let paths: Vec<&str> = self.files.iter().map(|file| file.target.as_str()).collect();
        let of = (VERSION, container, self.image, &paths, &self.spec.volumes, &self.spec.restart);
        let digest = if tied { labels::digest(&(of, holder)) } else { labels::digest(&of) };
        let mut with = self.labels.clone();
        with.insert(labels::CONTAINER.to_owned(), container.name.to_string());
        with.insert(labels::DIGEST.to_owned(), digest.clone());
        if tied {
            with.insert(labels::HOLDER.to_owned(), holder.to_owned());
        }
        with.extend(super::metrics::counts(self.spec, container.name.as_str()));
        // Both are documents of ours.
        if let Some(check) = check.and_then(|check| serde_json::to_string(check).ok()) {
            with.insert(labels::CHECK.to_owned(), check);
        }
        let memory =
            container.resources.memory_limit.map(|limit| i64::try_from(limit.get()).unwrap_or(i64::MAX));
        let cpu = container.resources.cpu_limit.map(|limit| nano_cpus(limit.as_millicores()));
        let shares = container.resources.cpu.as_millicores().saturating_mul(1024) / 1000;
        let mounts =
            container.mounts.iter().map(|mount| self.mount(mount)).chain(self.files.iter().map(secret));
        let env = container.env.iter().map(|(key, value)| format!("{key}={value}"));
        let own = [format!("UNIVRS_WORKLOAD={}", self.spec.name)];
        let body = ContainerCreateBody {
            image: Some(self.image.to_owned()),
            entrypoint: (!container.command.is_empty()).then(|| container.command.clone()),
            cmd: (!container.args.is_empty()).then(|| container.args.clone()),
            env: Some(own.into_iter().chain(env).collect()),
            user: container.user.clone(),
            working_dir: container.working_dir.clone(),
            stop_timeout: Some(seconds(container.stop_grace)),
            healthcheck: Some(health(container.health.as_ref())),
            labels: Some(with),
            host_config: Some(HostConfig {
                network_mode: Some(format!("container:{holder}")),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
                security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
                nano_cpus: cpu,
                cpu_shares: i64::try_from(shares.clamp(2, 262_144)).ok(),
                memory,
                // Both together: no swap beyond the limit.
                memory_swap: memory,
                pids_limit: Some(PIDS),
                mounts: Some(mounts.collect()),
                restart_policy: Some(restart_policy(self.spec, self.spec.restart.policy)),
                log_config: Some(HostConfigLogConfig {
                    typ: Some("json-file".to_owned()),
                    config: Some(
                        [("max-size", "10m"), ("max-file", "3")]
                            .map(|(key, value)| (key.to_owned(), value.to_owned()))
                            .into(),
                    ),
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        Wanted { name: format!("{}.{}", self.base, container.name), digest, body }
    }

    fn mount(&self, mount: &univrs_model::workload::MountSpec) -> DockerMount {
        DockerMount {
            typ: Some(MountType::VOLUME),
            source: Some(format!("{}.{}", self.base, mount.volume)),
            target: Some(mount.path.clone()),
            read_only: Some(mount.read_only),
            // A new volume is empty and its user's, with every provider alike.
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
            ..DockerMount::default()
        }
    }
}

fn secret(file: &SecretFile) -> DockerMount {
    DockerMount {
        typ: Some(MountType::BIND),
        source: Some(file.host.to_string_lossy().into_owned()),
        target: Some(file.target.clone()),
        read_only: Some(true),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..DockerMount::default()
    }
}

/// Makes a container, or leaves the one that is as it should be. Where it holds the network of a replica (workload and
/// index), what has joined that ends before it is made anew.
pub(crate) async fn put(
    engine: &Engine,
    provider: &str,
    resource: &ResourceRef,
    wanted: Wanted,
    holds: Option<(&Name, u32)>,
) -> Result<Placed, ProviderError> {
    for _ in 0..TRIES {
        let found = engine.docker().inspect_container(&wanted.name, None::<InspectContainerOptions>).await;
        let found = unless(&[NOT_FOUND], found).map_err(failed(engine, "look at a container"))?;
        let Some(found) = found else {
            let options = CreateContainerOptionsBuilder::new().name(&wanted.name).build();
            let created = engine.docker().create_container(Some(options), wanted.body.clone()).await;
            match unless(&[CONFLICT], created).map_err(failed(engine, "make a container"))? {
                Some(created) => {
                    return Ok(Placed {
                        id: created.id,
                        running: false,
                        started: None,
                        made: true,
                        ended: false,
                    });
                }
                // Someone was faster.
                None => continue,
            }
        };
        let known = found.config.and_then(|config| config.labels).unwrap_or_default();
        labels::own(provider, resource, &wanted.name, &known)?;
        let id = found.id.unwrap_or_default();
        if labels::label(&known, labels::DIGEST) == wanted.digest {
            let state = found.state.unwrap_or_default();
            let started = state.started_at.and_then(|text| text.parse().ok());
            // One that waits for its next start counts: starting it again would be refused.
            let running = state.running == Some(true) || state.restarting == Some(true);
            let ended = state.status == Some(ContainerStateStatusEnum::EXITED);
            return Ok(Placed { id, running, started, made: false, ended });
        }
        if let Some((workload, index)) = holds {
            clear(engine, provider, resource, workload, index).await?;
        }
        things::end(engine, &id).await?;
    }
    Err(ProviderError::temporary(format!("`{}` is being made by someone else as well", wanted.name)))
}

/// Removes the containers of a replica that join its network.
pub(crate) async fn clear(
    engine: &Engine,
    provider: &str,
    resource: &ResourceRef,
    workload: &Name,
    index: u32,
) -> Result<(), ProviderError> {
    let index = index.to_string();
    for thing in things::containers(engine, provider, resource).await? {
        let of_it = thing.label(labels::WORKLOAD) == workload.as_str() && thing.label(labels::INDEX) == index;
        if of_it && thing.labels.contains_key(labels::CONTAINER) {
            things::end(engine, &thing.id).await?;
        }
    }
    Ok(())
}

/// Starts what joins a network: anew where it is `stale`, for the network it is in is gone.
pub(crate) async fn begin(
    engine: &Engine,
    spec: &WorkloadSpec,
    placed: &Placed,
    stale: bool,
) -> Result<(), ProviderError> {
    if placed.ended && is_job(spec) {
        // It did its work; the same order again is not to do it again.
        Ok(())
    } else if !placed.running {
        start(engine, &placed.id).await
    } else if stale && !placed.made {
        restart(engine, &placed.id).await
    } else {
        Ok(())
    }
}

pub(crate) async fn start(engine: &Engine, id: &str) -> Result<(), ProviderError> {
    let started = engine.docker().start_container(id, None::<StartContainerOptions>).await;
    unless(&[304], started).map_err(failed(engine, "start a container")).map(drop)
}

async fn restart(engine: &Engine, id: &str) -> Result<(), ProviderError> {
    let restarted = engine.docker().restart_container(id, None::<RestartContainerOptions>).await;
    restarted.map_err(failed(engine, "start a container again"))
}

/// Tells the containers of a workload that their secrets are new, as it wants to be told.
pub(crate) async fn tell(
    engine: &Engine,
    provider: &str,
    order: &Order,
    spec: &WorkloadSpec,
) -> Result<(), ProviderError> {
    let by = |wanted: OnChange| spec.secrets.iter().any(|uses| uses.on_change == wanted);
    let (by_restart, by_signal) = (by(OnChange::Restart), by(OnChange::Signal));
    if !by_restart && !by_signal {
        return Ok(());
    }
    for thing in things::containers(engine, provider, &order.resource).await? {
        let joined = thing.labels.contains_key(labels::CONTAINER);
        if thing.label(labels::WORKLOAD) != spec.name.as_str() || !joined || !thing.runs() {
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

/// The names of an order's workloads that go on, so that one that is missing is missed.
pub(crate) fn services(order: &Order) -> Vec<&str> {
    order.workloads.iter().filter(|spec| !is_job(spec)).map(|spec| spec.name.as_str()).collect()
}

/// Whether it runs to its end.
pub(crate) fn is_job(spec: &WorkloadSpec) -> bool {
    matches!(spec.kind, WorkloadKind::Job | WorkloadKind::Cron)
}

pub(crate) fn restart_policy(spec: &WorkloadSpec, when: RestartWhen) -> RestartPolicy {
    let name = match when {
        // A job runs once; the operation that wants it says what becomes of it.
        _ if is_job(spec) => RestartPolicyNameEnum::NO,
        RestartWhen::Always => RestartPolicyNameEnum::ALWAYS,
        RestartWhen::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        RestartWhen::Never => RestartPolicyNameEnum::NO,
    };
    RestartPolicy { name: Some(name), maximum_retry_count: None }
}

/// The check that the engine makes: a command. Others are made by the provider, and that of the image by nobody.
pub(crate) fn health(check: Option<&HealthCheck>) -> HealthConfig {
    let Some((check, exec)) = check.and_then(|check| Some((check, check.exec.as_ref()?))) else {
        return HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() };
    };
    let test = std::iter::once("CMD".to_owned()).chain(exec.command.iter().cloned());
    HealthConfig {
        test: Some(test.collect()),
        interval: Some(nanoseconds(check.interval)),
        timeout: Some(nanoseconds(check.timeout)),
        retries: Some(check.retries.into()),
        start_period: Some(nanoseconds(check.start_period)),
        start_interval: None,
    }
}

pub(crate) fn nano_cpus(millicores: u64) -> i64 {
    i64::try_from(millicores.saturating_mul(1_000_000)).unwrap_or(i64::MAX)
}

pub(crate) fn nanoseconds(span: Span) -> i64 {
    i64::try_from(span.duration().as_nanos()).unwrap_or(i64::MAX)
}

fn seconds(span: Span) -> i64 {
    i64::try_from(span.duration().as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}
