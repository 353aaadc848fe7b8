//! From what is wanted to the service that the swarm is asked for. Pure.

use bollard::models::{
    EndpointPortConfig, EndpointPortConfigProtocolEnum, EndpointPortConfigPublishModeEnum, EndpointSpec,
    EndpointSpecModeEnum, Limit, Mount as DockerMount, MountType, MountVolumeOptions,
    NetworkAttachmentConfig, ResourceObject, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated,
    TaskSpec, TaskSpecContainerSpec, TaskSpecContainerSpecDnsConfig, TaskSpecContainerSpecFile,
    TaskSpecContainerSpecSecrets, TaskSpecPlacement, TaskSpecResources, TaskSpecRestartPolicy,
    TaskSpecRestartPolicyConditionEnum,
};
use univrs_docker::users::User;
use univrs_model::name::Name;
use univrs_model::policy::RestartWhen;
use univrs_model::workload::{ContainerSpec, Protocol, WorkloadSpec};
use univrs_ports::provider::Order;

use super::ID;
use crate::engine::ground::replicas;
use crate::engine::joined::{CAPABILITIES, health, is_job, nano_cpus, nanoseconds, services};
use crate::engine::labels::{self, Labels};
use crate::engine::metrics::counts;

/// Changes when the same order is to make another service than before.
const VERSION: u32 = 1;
/// How many processes and threads a container may have.
const PIDS: i64 = 4096;
/// The longest name of a service or network.
const LONGEST: usize = 63;
/// How long the swarm waits before it starts what has ended again.
const RESTART_DELAY: i64 = 500_000_000;

/// A secret that the swarm has.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) id: String,
    pub(super) name: String,
    /// Where the container finds it.
    pub(super) target: String,
}

/// A service that is wanted.
pub(super) struct Wanted<'a> {
    pub(super) order: &'a Order,
    pub(super) spec: &'a WorkloadSpec,
    pub(super) container: &'a ContainerSpec,
    /// Its image in the engine.
    pub(super) image: String,
    pub(super) user: User,
    pub(super) secrets: Vec<Held>,
    /// The swarm's id of this machine, where the image and the volumes are.
    pub(super) node: String,
    /// Whether it holds the network of others and does nothing else.
    pub(super) holds: bool,
}

/// The network of an organisation.
pub(super) fn network(org: &Name) -> String {
    fitting(format!("univrs_swarm_{org}"))
}

/// The name of a service: names of organisations and workloads have no underscore, so no two are the same.
pub(super) fn service(org: &Name, workload: &Name) -> String {
    fitting(format!("univrs_{org}_{workload}"))
}

/// A name that the swarm takes: one that is too long becomes its digest.
fn fitting(name: String) -> String {
    if name.len() <= LONGEST { name } else { format!("univrs_{}", labels::digest(&name)) }
}

/// What names of a replica's containers and volumes begin with.
pub(super) fn base(org: &Name, workload: &Name, slot: &str) -> String {
    format!("univrs-swarm.{org}.{workload}.{slot}")
}

/// The volume of one replica.
pub(super) fn volume(org: &Name, workload: &Name, slot: &str, volume: &Name) -> String {
    format!("{}.{volume}", base(org, workload, slot))
}

/// Labels of everything that is of a workload.
pub(super) fn labels_of(order: &Order, spec: &WorkloadSpec) -> Labels {
    let mut all = labels::owner(ID, order);
    let kind = if is_job(spec) { "job" } else { "service" };
    all.insert(labels::WORKLOAD.to_owned(), spec.name.to_string());
    all.insert(labels::KIND.to_owned(), kind.to_owned());
    all
}

impl Wanted<'_> {
    pub(super) fn digest(&self) -> String {
        let secrets: Vec<(&str, &str)> =
            self.secrets.iter().map(|held| (held.name.as_str(), held.target.as_str())).collect();
        let workloads = services(self.order);
        let of = (VERSION, self.container, &self.image, secrets, &self.spec.volumes, &self.spec.restart);
        labels::digest(&(of, replicas(self.spec), workloads, &self.node, (self.user.uid, self.user.gid)))
    }

    /// The service, made by the operation `operation`.
    pub(super) fn service(&self, operation: &str) -> ServiceSpec {
        let org = &self.order.resource.org;
        let requests = self.spec.requests();
        let workloads = services(self.order);
        let mut with = labels_of(self.order, self.spec);
        with.insert(univrs_model::resource::OPERATION_LABEL.to_owned(), operation.to_owned());
        let mut on_containers = with.clone();
        if self.holds {
            // So that the container of this very network is told from that of an earlier one.
            on_containers.insert(labels::DIGEST.to_owned(), self.digest());
            let parts = format!("{}/{}", self.spec.containers().len(), replicas(self.spec));
            with.insert(labels::PARTS.to_owned(), parts);
        }
        with.insert(labels::WORKLOADS.to_owned(), workloads.join(","));
        with.insert(labels::DIGEST.to_owned(), self.digest());
        with.insert(
            labels::SET_ASIDE.to_owned(),
            format!("{}/{}/{}", requests.cpu.as_millicores(), requests.memory.get(), requests.disk.get()),
        );
        let check = self.container.health.as_ref().filter(|check| check.exec.is_none());
        if let Some(check) = check.and_then(|check| serde_json::to_string(check).ok()) {
            with.insert(labels::CHECK.to_owned(), check);
        }
        ServiceSpec {
            name: Some(service(org, &self.spec.name)),
            labels: Some(with),
            task_template: Some(self.task(on_containers)),
            mode: Some(ServiceSpecMode {
                replicated: Some(ServiceSpecModeReplicated { replicas: Some(replicas(self.spec).into()) }),
                ..ServiceSpecMode::default()
            }),
            endpoint_spec: Some(EndpointSpec {
                // Names lead to the replicas themselves: kernels without IPVS have no address for a service.
                mode: Some(EndpointSpecModeEnum::DNSRR),
                ports: Some(self.ports()),
            }),
            ..ServiceSpec::default()
        }
    }

    fn task(&self, with: Labels) -> TaskSpec {
        let org = &self.order.resource.org;
        let resources = &self.container.resources;
        let bytes = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        TaskSpec {
            container_spec: Some(self.container(with)),
            resources: Some(TaskSpecResources {
                limits: Some(Limit {
                    nano_cpus: resources.cpu_limit.map(|limit| nano_cpus(limit.as_millicores())),
                    memory_bytes: resources.memory_limit.map(|limit| bytes(limit.get())),
                    pids: Some(PIDS),
                }),
                reservations: Some(ResourceObject {
                    nano_cpus: Some(nano_cpus(resources.cpu.as_millicores())),
                    memory_bytes: Some(bytes(resources.memory.get())),
                    generic_resources: None,
                }),
                ..TaskSpecResources::default()
            }),
            restart_policy: Some(TaskSpecRestartPolicy {
                condition: Some(match self.spec.restart.policy {
                    _ if is_job(self.spec) => TaskSpecRestartPolicyConditionEnum::NONE,
                    RestartWhen::Always => TaskSpecRestartPolicyConditionEnum::ANY,
                    RestartWhen::OnFailure => TaskSpecRestartPolicyConditionEnum::ON_FAILURE,
                    RestartWhen::Never => TaskSpecRestartPolicyConditionEnum::NONE,
                }),
                delay: Some(RESTART_DELAY),
                ..TaskSpecRestartPolicy::default()
            }),
            placement: Some(TaskSpecPlacement {
                constraints: Some(vec![format!("node.id=={}", self.node)]),
                ..TaskSpecPlacement::default()
            }),
            networks: Some(vec![NetworkAttachmentConfig {
                target: Some(network(org)),
                aliases: Some(labels::aliases(org, self.spec)),
                ..NetworkAttachmentConfig::default()
            }]),
            ..TaskSpec::default()
        }
    }

    fn container(&self, with: Labels) -> TaskSpecContainerSpec {
        let container = self.container;
        let org = &self.order.resource.org;
        let mounts = container.mounts.iter().map(|mount| DockerMount {
            typ: Some(MountType::VOLUME),
            source: Some(volume(org, &self.spec.name, "{{.Task.Slot}}", &mount.volume)),
            target: Some(mount.path.clone()),
            read_only: Some(mount.read_only),
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
            ..DockerMount::default()
        });
        let secrets = self.secrets.iter().map(|held| TaskSpecContainerSpecSecrets {
            secret_id: Some(held.id.clone()),
            secret_name: Some(held.name.clone()),
            file: Some(TaskSpecContainerSpecFile {
                name: Some(held.target.clone()),
                uid: Some(self.user.uid.to_string()),
                gid: Some(self.user.gid.to_string()),
                mode: Some(0o400),
            }),
        });
        let env = container.env.iter().map(|(key, value)| format!("{key}={value}"));
        let own = [format!("UNIVRS_WORKLOAD={}", self.spec.name)];
        TaskSpecContainerSpec {
            image: Some(self.image.clone()),
            labels: Some(with.into_iter().chain(counts(self.spec, container.name.as_str())).collect()),
            command: (!container.command.is_empty()).then(|| container.command.clone()),
            args: (!container.args.is_empty()).then(|| container.args.clone()),
            hostname: Some(self.spec.name.to_string()),
            dns_config: labels::search_of(org, self.spec).map(|search| TaskSpecContainerSpecDnsConfig {
                search: Some(vec![search]),
                options: Some(vec![labels::RESOLVER.to_owned()]),
                ..TaskSpecContainerSpecDnsConfig::default()
            }),
            env: Some(own.into_iter().chain(env).collect()),
            dir: container.working_dir.clone(),
            user: container.user.clone(),
            mounts: Some(mounts.collect()),
            stop_grace_period: Some(nanoseconds(container.stop_grace)),
            health_check: Some(health(container.health.as_ref())),
            secrets: Some(secrets.collect()),
            capability_drop: Some(vec!["ALL".to_owned()]),
            capability_add: Some(CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect()),
            ..TaskSpecContainerSpec::default()
        }
    }

    fn ports(&self) -> Vec<EndpointPortConfig> {
        let ports = self.container.ports.iter().filter_map(|port| {
            Some(EndpointPortConfig {
                protocol: Some(match port.protocol {
                    Protocol::Tcp => EndpointPortConfigProtocolEnum::TCP,
                    Protocol::Udp => EndpointPortConfigProtocolEnum::UDP,
                }),
                target_port: Some(port.container_port.into()),
                published_port: Some(port.host_port?.into()),
                publish_mode: Some(EndpointPortConfigPublishModeEnum::HOST),
                ..EndpointPortConfig::default()
            })
        });
        ports.collect()
    }
}
