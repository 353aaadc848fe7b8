//! From what is wanted to what the engine is asked to create. Pure.
//!
//! The containers of a workload share a network, as everywhere: one more container, which does nothing, holds it, has
//! the workload's names in the organisation's network and its ports of the host, and the others join it. So one of
//! them may end and start again without the others losing their network.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount as DockerMount, MountBindOptions, MountBindOptionsPropagationEnum, MountType, MountVolumeOptions,
    NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use univrs_docker::pause;
use univrs_model::policy::RestartWhen;
use univrs_model::span::Span;
use univrs_model::workload::{ContainerSpec, HealthCheck, Protocol, WorkloadKind, WorkloadSpec};
use univrs_ports::provider::Order;

use super::ID;
use crate::engine::labels::{self, Labels};
use crate::engine::secret_files::SecretFile;

/// Changes when the same order is to make other containers than before.
const VERSION: u32 = 1;
/// How many processes and threads a container may have.
const PIDS: i64 = 4096;
/// The same for what holds a network; the engine's own start needs some.
const PIDS_OF_START: i64 = 64;
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

/// One replica of a workload.
pub(super) struct Replica<'a> {
    pub(super) order: &'a Order,
    pub(super) spec: &'a WorkloadSpec,
    pub(super) index: u32,
}

/// A container that is wanted.
pub(super) struct Wanted {
    pub(super) name: String,
    /// Digest of what it is made from; the operation that asks does not count.
    pub(super) digest: String,
    pub(super) body: ContainerCreateBody,
}

impl Replica<'_> {
    /// The name of what holds its network.
    pub(super) fn name(&self) -> String {
        labels::replica(&self.order.resource.org, &self.spec.name, self.index)
    }

    pub(super) fn volume(&self, volume: &str) -> String {
        format!("{}.{volume}", self.name())
    }

    /// Labels of everything that is of this replica.
    pub(super) fn labels(&self) -> Labels {
        let mut all = labels::owner(ID, self.order);
        let kind = if is_job(self.spec) { "job" } else { "service" };
        all.extend(
            [
                (labels::WORKLOAD, self.spec.name.to_string()),
                (labels::INDEX, self.index.to_string()),
                (labels::KIND, kind.to_owned()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        all
    }

    /// What holds its network.
    pub(super) fn holder(&self, image: &str) -> Wanted {
        let containers = self.spec.containers();
        let org = &self.order.resource.org;
        let network = labels::network(org);
        let requests = self.spec.requests();
        let workloads: Vec<&str> = self.order.workloads.iter().map(|spec| spec.name.as_str()).collect();
        let mut ports = HashMap::new();
        for port in containers.iter().flat_map(|container| &container.ports) {
            let Some(host_port) = port.host_port else { continue };
            let binding =
                PortBinding { host_ip: Some("0.0.0.0".to_owned()), host_port: Some(host_port.to_string()) };
            ports.insert(format!("{}/{}", port.container_port, word(port.protocol)), Some(vec![binding]));
        }
        let parts = format!("{}/{}", containers.len(), self.spec.replicas);
        let set_aside =
            format!("{}/{}/{}", requests.cpu.as_millicores(), requests.memory.get(), requests.disk.get());
        let mut sorted: Vec<_> = ports.keys().cloned().collect();
        sorted.sort();
        let host_ports = &requests.host_ports;
        let digest =
            labels::digest(&(VERSION, image, &network, &workloads, &parts, &set_aside, sorted, host_ports));
        let mut with = self.labels();
        with.insert(labels::WORKLOADS.to_owned(), workloads.join(","));
        with.insert(labels::PARTS.to_owned(), parts);
        with.insert(labels::SET_ASIDE.to_owned(), set_aside);
        with.insert(labels::DIGEST.to_owned(), digest.clone());
        let endpoint = EndpointSettings {
            aliases: Some(labels::aliases(org, &self.spec.name)),
            ..EndpointSettings::default()
        };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec![pause::PROGRAM.to_owned()]),
            hostname: Some(self.spec.name.to_string()),
            labels: Some(with),
            exposed_ports: Some(ports.keys().cloned().collect()),
            host_config: Some(HostConfig {
                network_mode: Some(network.clone()),
                port_bindings: Some(ports),
                cap_drop: Some(vec!["ALL".to_owned()]),
                readonly_rootfs: Some(true),
                pids_limit: Some(PIDS_OF_START),
                log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
                restart_policy: Some(restart(self.spec, RestartWhen::Always)),
                security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some([(network, endpoint)].into()),
            }),
            ..ContainerCreateBody::default()
        };
        Wanted { name: self.name(), digest, body }
    }

    /// One of its containers, in the network that the container `holder` of the engine holds.
    pub(super) fn container(
        &self,
        holder: &str,
        container: &ContainerSpec,
        image: &str,
        files: &[SecretFile],
    ) -> Wanted {
        let check = container.health.as_ref().filter(|check| check.exec.is_none());
        let paths: Vec<&str> = files.iter().map(|file| file.target.as_str()).collect();
        let digest =
            labels::digest(&(VERSION, container, image, &paths, &self.spec.volumes, &self.spec.restart));
        let mut with = self.labels();
        with.insert(labels::CONTAINER.to_owned(), container.name.to_string());
        with.insert(labels::DIGEST.to_owned(), digest.clone());
        // Both are documents of ours.
        if let Some(check) = check.and_then(|check| serde_json::to_string(check).ok()) {
            with.insert(labels::CHECK.to_owned(), check);
        }
        let memory =
            container.resources.memory_limit.map(|limit| i64::try_from(limit.get()).unwrap_or(i64::MAX));
        let cpu = container.resources.cpu_limit.map(|limit| nano_cpus(limit.as_millicores()));
        let shares = container.resources.cpu.as_millicores().saturating_mul(1024) / 1000;
        let mounts = container.mounts.iter().map(|mount| self.mount(mount)).chain(files.iter().map(secret));
        let env = container.env.iter().map(|(key, value)| format!("{key}={value}"));
        let own = [format!("UNIVRS_WORKLOAD={}", self.spec.name)];
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
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
                restart_policy: Some(restart(self.spec, self.spec.restart.policy)),
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
        Wanted { name: format!("{}.{}", self.name(), container.name), digest, body }
    }

    fn mount(&self, mount: &univrs_model::workload::MountSpec) -> DockerMount {
        DockerMount {
            typ: Some(MountType::VOLUME),
            source: Some(self.volume(mount.volume.as_str())),
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

/// Whether it runs to its end.
pub(crate) fn is_job(spec: &WorkloadSpec) -> bool {
    matches!(spec.kind, WorkloadKind::Job | WorkloadKind::Cron)
}

fn restart(spec: &WorkloadSpec, when: RestartWhen) -> RestartPolicy {
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

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}
