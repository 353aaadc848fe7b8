//! What a user asks for: a group of containers, how many of it, where, and how it changes.
//!
//! A [`WorkloadSpec`] is the user's document and is never edited by the system. Its JSON shape is public; the
//! short form `image` stands for one container named `app`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::name::Name;
use crate::quantity::{Bytes, Cpu};
use crate::span::Span;

pub use crate::policy::{
    CronSchedule, DisconnectPolicy, OnReconnect, Overlap, RestartPolicy, RestartWhen, UpdatePolicy,
    UpdateStrategy,
};

/// Requests of a container that states none.
pub const DEFAULT_CPU: Cpu = Cpu::millicores(100);
/// Requests of a container that states none.
pub const DEFAULT_MEMORY: Bytes = Bytes::mebibytes(64);

/// A workload as its user writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Unique in the organisation; also the address `<name>.internal`.
    pub name: Name,
    /// How long its instances are meant to live.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// How many instances; ignored by `daemon` (one per fitting node).
    #[serde(default = "one")]
    #[schema(minimum = 0, maximum = 100_000)]
    pub replicas: u32,
    /// Whether at most one instance may ever run at once.
    #[serde(default)]
    pub singleton: bool,
    /// 0 (first to yield) to 100.
    #[serde(default = "default_priority")]
    #[schema(minimum = 0, maximum = 100)]
    pub priority: u8,
    /// Short form for one container named `app`; excludes `containers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9._/:@+-]{1,512}$")]
    pub image: Option<String>,
    /// The containers, which share a network namespace and a node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerSpec>,
    /// Named volumes that the containers may mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeSpec>,
    /// Secrets that the containers receive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretUse>,
    /// Where it may and should run.
    #[serde(default)]
    pub placement: Placement,
    /// What must be there before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// When a `cron` workload runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CronSchedule>,
    /// How a new version replaces the old one.
    #[serde(default)]
    pub update: UpdatePolicy,
    /// What happens when a container ends.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// What happens on a node that is cut off.
    #[serde(default)]
    pub on_disconnect: DisconnectPolicy,
    /// HTTP routes from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<IngressRule>,
    /// Free labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

fn default_priority() -> u8 {
    50
}

impl WorkloadSpec {
    /// The containers with the short form `image` spelled out.
    pub fn containers(&self) -> Vec<ContainerSpec> {
        match (&self.image, self.containers.as_slice()) {
            (Some(image), []) => vec![ContainerSpec::of_image("app", image)],
            (_, containers) => containers.to_vec(),
        }
    }

    /// What one instance asks of its node.
    pub fn requests(&self) -> Requests {
        let containers = self.containers();
        Requests {
            cpu: Cpu::millicores(containers.iter().map(|c| c.resources.cpu.as_millicores()).sum()),
            memory: Bytes::new(containers.iter().map(|c| c.resources.memory.get()).sum()),
            disk: Bytes::new(self.volumes.iter().filter_map(|v| v.size).map(Bytes::get).sum()),
            host_ports: containers
                .iter()
                .flat_map(|c| &c.ports)
                .filter_map(|p| p.host_port.map(|port| HostPort { port, protocol: p.protocol }))
                .collect(),
        }
    }

    /// The volumes that are directories of their own on a node, for one instance at a time.
    pub fn local_volumes(&self) -> impl Iterator<Item = &VolumeSpec> {
        self.volumes.iter().filter(|volume| volume.host_path.is_none())
    }

    /// Whether old instances end before new ones start: one may exist at most, the user says so, or they would
    /// write to the same volumes.
    pub fn is_replaced_in_place(&self) -> bool {
        self.singleton
            || self.update.strategy == UpdateStrategy::Recreate
            || self.local_volumes().next().is_some()
    }

    /// Whether a change from `self` to `next` needs new instances (as against a change of scale or labels alone).
    pub fn needs_new_instances(&self, next: &Self) -> bool {
        let essence = |spec: &Self| Self {
            image: None,
            containers: spec.containers(),
            replicas: 0,
            priority: 0,
            update: UpdatePolicy::default(),
            ingress: Vec::new(),
            labels: BTreeMap::new(),
            schedule: None,
            ..spec.clone()
        };
        essence(self) != essence(next)
    }
}

/// What one instance asks of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Requests {
    /// Processor time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
    /// Disk for volumes.
    pub disk: Bytes,
    /// Ports of the host that it must have to itself.
    #[serde(default)]
    pub host_ports: Vec<HostPort>,
}

/// A port of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct HostPort {
    /// The port's number.
    #[schema(maximum = 65535)]
    pub port: u16,
    /// The port's protocol.
    pub protocol: Protocol,
}

/// How long instances are meant to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadKind {
    /// Runs until told otherwise.
    #[default]
    Service,
    /// Runs to completion once.
    Job,
    /// Runs to completion at times.
    Cron,
    /// One instance on every fitting node.
    Daemon,
}

/// One container of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// Unique in the workload.
    pub name: Name,
    /// Reference of the image, such as `web:1` or `registry.example/app@sha256:…`.
    #[schema(pattern = "^[A-Za-z0-9._/:@+-]{1,512}$")]
    pub image: String,
    /// Replaces the image's entrypoint.
    #[serde(default)]
    pub command: Vec<String>,
    /// Replaces the image's command (the entrypoint's arguments).
    #[serde(default)]
    pub args: Vec<String>,
    /// Added to the image's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Replaces the image's working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Replaces the image's user: `name`, `uid`, `uid:gid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Ports it listens on.
    #[serde(default)]
    pub ports: Vec<PortSpec>,
    /// What it asks for and may use.
    #[serde(default)]
    pub resources: Resources,
    /// How to tell that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// Where volumes appear.
    #[serde(default)]
    pub mounts: Vec<MountSpec>,
    /// Time between the stop signal and the kill.
    #[serde(default = "default_grace")]
    pub stop_grace: Span,
}

fn default_grace() -> Span {
    Span::seconds(10)
}

impl ContainerSpec {
    /// A container that runs `image` as it is.
    ///
    /// # Panics
    /// When `name` is not a DNS label; for names that the program itself writes.
    pub fn of_image(name: &'static str, image: &str) -> Self {
        Self {
            #[expect(clippy::expect_used, reason = "the name is a literal of the program")]
            name: name.parse().expect("a literal DNS label"),
            image: image.to_owned(),
            command: Vec::new(),
            args: Vec::new(),
            env: BTreeMap::new(),
            working_dir: None,
            user: None,
            ports: Vec::new(),
            resources: Resources::default(),
            health: None,
            mounts: Vec::new(),
            stop_grace: default_grace(),
        }
    }
}

/// A port that a container listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortSpec {
    /// How ingress and probes refer to it.
    pub name: Name,
    /// The port inside the container.
    #[schema(minimum = 1, maximum = 65535)]
    pub container_port: u16,
    /// The port of the node that leads to it, if any.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 65535)]
    pub host_port: Option<u16>,
    /// TCP or UDP.
    #[serde(default)]
    pub protocol: Protocol,
}

/// The protocol of a port.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// Requests schedule, limits bind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Processor time it is placed by.
    #[serde(default = "default_cpu")]
    pub cpu: Cpu,
    /// Memory it is placed by.
    #[serde(default = "default_memory")]
    pub memory: Bytes,
    /// Processor time it can never exceed.
    #[serde(default)]
    pub cpu_limit: Option<Cpu>,
    /// Memory beyond which it is killed.
    #[serde(default)]
    pub memory_limit: Option<Bytes>,
}

fn default_cpu() -> Cpu {
    DEFAULT_CPU
}

fn default_memory() -> Bytes {
    DEFAULT_MEMORY
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpu: DEFAULT_CPU, memory: DEFAULT_MEMORY, cpu_limit: None, memory_limit: None }
    }
}

/// How to tell that a container serves; exactly one of `http`, `tcp`, `exec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// A GET that must answer 200–399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// A connection that must open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// A command that must exit 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecProbe>,
    /// Time between probes.
    #[serde(default = "two_seconds")]
    pub interval: Span,
    /// Time after which a probe has failed.
    #[serde(default = "one_second")]
    pub timeout: Span,
    /// How many probes in a row must fail.
    #[serde(default = "three")]
    #[schema(minimum = 1)]
    pub retries: u32,
    /// Time after the start in which failures do not count.
    #[serde(default)]
    pub start_period: Span,
}

fn two_seconds() -> Span {
    Span::seconds(2)
}

fn one_second() -> Span {
    Span::seconds(1)
}

fn three() -> u32 {
    3
}

/// A GET over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// The path, starting with `/`.
    #[schema(pattern = "^/")]
    pub path: String,
    /// The port inside the container.
    #[schema(maximum = 65535)]
    pub port: u16,
}

/// A TCP connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpProbe {
    /// The port inside the container.
    #[schema(maximum = 65535)]
    pub port: u16,
}

/// A command inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecProbe {
    /// The command and its arguments.
    #[schema(min_items = 1)]
    pub command: Vec<String>,
}

/// Where a volume appears in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MountSpec {
    /// Name of one of the workload's volumes.
    pub volume: Name,
    /// Absolute path in the container, without `..`.
    #[schema(pattern = "^/")]
    pub path: String,
    /// Whether the container may only read it.
    #[serde(default)]
    pub read_only: bool,
}

/// A named volume; local volumes tie their workload to the node that holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeSpec {
    /// Unique in the workload.
    pub name: Name,
    /// Space that is set aside on the node.
    #[serde(default)]
    pub size: Option<Bytes>,
    /// Space beyond which more is refused, where the node can do that; the size when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Bytes>,
    /// A directory of the node to bind instead; needs the permission `volume_bind`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
}

/// A secret that the containers receive, as an environment variable, a file, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretUse {
    /// Name of the secret.
    pub name: Name,
    /// Environment variable that carries it.
    #[serde(default)]
    pub env: Option<String>,
    /// Absolute path of a file in memory that carries it.
    #[serde(default)]
    pub file: Option<String>,
    /// What to do when the secret changes.
    #[serde(default)]
    pub on_change: OnChange,
}

/// What to do when a secret changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// Roll the workload.
    #[default]
    Restart,
    /// Renew the file and send SIGHUP.
    Signal,
    /// Nothing until the next start.
    None,
}

/// Where instances may (constraints) and should (the rest) run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Each must hold for the node: `cloud == aws`, `region in [a, b]`, `label.disk != ssd`, `label.gpu exists`.
    #[serde(default)]
    pub constraints: Vec<String>,
    /// Attributes over whose values instances are spread evenly; `cloud!` makes it a requirement.
    #[serde(default)]
    pub spread: Vec<String>,
    /// Names of workloads to be near (same node preferred).
    #[serde(default)]
    pub affinity: Vec<String>,
    /// Names of workloads (or `self`) not to share a node with.
    #[serde(default)]
    pub anti_affinity: Vec<String>,
    /// Whether to fill nodes or to level them.
    #[serde(default)]
    pub strategy: Strategy,
}

/// Whether to fill nodes or to level them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Prefer the emptiest node.
    #[default]
    Spread,
    /// Prefer the fullest node that still fits.
    Binpack,
}

/// Another workload that must be there first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Its name.
    pub workload: Name,
    /// What it must have reached.
    #[serde(default)]
    pub condition: DependencyCondition,
}

/// What a dependency must have reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
    /// Started.
    Started,
    /// Passing its checks.
    #[default]
    Healthy,
    /// Ended with code 0.
    Completed,
}

/// An HTTP route from outside to the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IngressRule {
    /// The host name.
    #[schema(pattern = "^[A-Za-z0-9.*-]{1,253}$")]
    pub host: String,
    /// Path prefix, starting with `/`.
    #[serde(default = "slash")]
    #[schema(pattern = "^/")]
    pub path: String,
    /// Name of the container port.
    pub port: Name,
    /// Whether the host has a certificate of its own.
    #[serde(default, skip_serializing_if = "IngressTls::is_off")]
    pub tls: IngressTls,
}

/// Where the certificate of a host comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IngressTls {
    /// From nowhere: over HTTPS the host is served with the certificate that the node was given, if any.
    #[default]
    Off,
    /// The cluster orders it by ACME and renews it.
    Auto,
}

impl IngressTls {
    const fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }
}

fn slash() -> String {
    "/".to_owned()
}
