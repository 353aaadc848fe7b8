//! From what is wanted to what the engine is asked to create. Pure.
//!
//! The containers of a workload share a network, as everywhere: one more container, which does nothing, holds it, has
//! the workload's names in the organisation's network and its ports of the host, and the others join it. So one of
//! them may end and start again without the others losing their network.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkingConfig, PortBinding,
};
use univrs_docker::pause;
use univrs_model::policy::RestartWhen;
use univrs_model::workload::{ContainerSpec, Protocol, WorkloadSpec};
use univrs_ports::provider::Order;

use super::ID;
use crate::engine::joined::{Joined, VERSION, Wanted, is_job, restart_policy, services};
use crate::engine::labels::{self, Labels};
use crate::engine::secret_files::SecretFile;

/// How many processes and threads there may be in what holds a network; the engine's own start needs some.
const PIDS_OF_START: i64 = 64;
/// One replica of a workload.
pub(super) struct Replica<'a> {
    pub(super) order: &'a Order,
    pub(super) spec: &'a WorkloadSpec,
    pub(super) index: u32,
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
        let workloads = services(self.order);
        let search = labels::search_of(org, self.spec);
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
        sorted.extend(search.clone());
        let host_ports = &requests.host_ports;
        let digest =
            labels::digest(&(VERSION, image, &network, &workloads, &parts, &set_aside, sorted, host_ports));
        let mut with = self.labels();
        with.insert(labels::WORKLOADS.to_owned(), workloads.join(","));
        with.insert(labels::PARTS.to_owned(), parts);
        with.insert(labels::SET_ASIDE.to_owned(), set_aside);
        with.insert(labels::DIGEST.to_owned(), digest.clone());
        let endpoint = EndpointSettings {
            aliases: Some(labels::aliases(org, self.spec)),
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
                dns_options: search.is_some().then(|| vec![labels::RESOLVER.to_owned()]),
                dns_search: search.map(|search| vec![search]),
                port_bindings: Some(ports),
                cap_drop: Some(vec!["ALL".to_owned()]),
                readonly_rootfs: Some(true),
                pids_limit: Some(PIDS_OF_START),
                log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
                restart_policy: Some(restart_policy(self.spec, RestartWhen::Always)),
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

    /// One of its containers.
    pub(super) fn container<'b>(
        &'b self,
        base: &'b str,
        container: &'b ContainerSpec,
        image: &'b str,
        files: &'b [SecretFile],
    ) -> Joined<'b> {
        Joined { base, labels: self.labels(), spec: self.spec, container, image, files }
    }
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}
