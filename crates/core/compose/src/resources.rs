//! Ports, processors and memory of a service.

use serde_json::{Map, Value};
use univrs_model::name::Name;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::workload::{PortSpec, Protocol, Resources};

use crate::reader::Reader;
use crate::values::{cpus, scalar, size};

/// Most ports that one range stands for.
const LONGEST_RANGE: u16 = 100;

impl Reader<'_> {
    /// `ports` and `expose`.
    pub(crate) fn ports(
        &mut self,
        field: &str,
        workload: &Name,
        service: &Map<String, Value>,
    ) -> Vec<PortSpec> {
        let mut ports: Vec<PortSpec> = Vec::new();
        for (key, publish) in [("ports", true), ("expose", false)] {
            let Some(items) = service.get(key).filter(|value| !value.is_null()) else { continue };
            let Some(items) = items.as_array() else {
                self.fault(format!("{field}.{key}"), "it is a list");
                continue;
            };
            for (at, item) in items.iter().enumerate() {
                let at = format!("{field}.{key}[{at}]");
                let found = match item {
                    Value::Object(long) => self.long_port(&at, long),
                    item => scalar(item).and_then(|text| self.short_port(&at, &text, publish)),
                };
                for mut port in found.into_iter().flatten() {
                    if self.around.as_resource && publish {
                        if let Some(asked) = port.host_port.take() {
                            let detail = format!(
                                "the resource is given a free port of the host instead of {asked}; its endpoints say which"
                            );
                            self.note(&at, detail);
                        }
                        self.published.push((workload.clone(), port.name.clone()));
                    }
                    let same = |other: &&mut PortSpec| {
                        other.container_port == port.container_port && other.protocol == port.protocol
                    };
                    match ports.iter_mut().find(same) {
                        Some(known) => known.host_port = known.host_port.or(port.host_port),
                        None => ports.push(port),
                    }
                }
            }
        }
        ports
    }

    /// `[[address:]host:]container[/protocol]`, each a number or a range.
    fn short_port(&mut self, field: &str, text: &str, publish: bool) -> Option<Vec<PortSpec>> {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = self.protocol(field, protocol)?;
        let (host, container) = match ports.rsplit_once(':') {
            Some((host, container)) => (Some(host), container),
            None => (None, ports),
        };
        let host = host.map(|host| match host.rsplit_once(':') {
            Some((address, host)) => {
                self.note(
                    field,
                    format!("the port is published on all addresses of the node, not only {address}"),
                );
                host
            }
            None => host,
        });
        let containers = self.range(field, container)?;
        let hosts = match host.filter(|host| !host.is_empty()) {
            Some(host) => self.range(field, host)?.into_iter().map(Some).collect(),
            None => {
                if publish && !self.around.as_resource {
                    self.note(field, "no port of the node is named, so none is published; reach it by name, through the ingress or with `univrs proxy`");
                }
                vec![None; containers.len()]
            }
        };
        if hosts.len() != containers.len() {
            self.fault(field, format!("`{text}` maps {} ports to {}", hosts.len(), containers.len()));
            return None;
        }
        Some(containers.into_iter().zip(hosts).map(|(port, host)| of(port, host, protocol)).collect())
    }

    /// A port as a map.
    fn long_port(&mut self, field: &str, long: &Map<String, Value>) -> Option<Vec<PortSpec>> {
        for key in long.keys() {
            let known = ["target", "published", "protocol", "mode", "host_ip", "name", "app_protocol"];
            if !known.contains(&key.as_str()) {
                self.unknown(field, key, known.into_iter());
            }
        }
        if let Some(address) = long.get("host_ip").and_then(scalar) {
            let detail = format!("the port is published on all addresses of the node, not only {address}");
            self.note(format!("{field}.host_ip"), detail);
        }
        if long.get("mode").and_then(Value::as_str) == Some("ingress") {
            self.note(format!("{field}.mode"), "the port is one of the node that the instance is on");
        }
        let protocol = long.get("protocol").and_then(Value::as_str).unwrap_or("tcp");
        let protocol = self.protocol(&format!("{field}.protocol"), protocol)?;
        let target = long.get("target").and_then(scalar).unwrap_or_default();
        let target = self.range(&format!("{field}.target"), &target)?;
        let host = match long.get("published").and_then(scalar) {
            Some(published) => self.range(&format!("{field}.published"), &published)?.first().copied(),
            None => None,
        };
        let mut port = of(*target.first()?, host, protocol);
        if let Some(name) = long.get("name").and_then(Value::as_str) {
            port.name = self.take(&format!("{field}.name"), name.parse().map_err(|e| format!("{e}")))?;
        }
        Some(vec![port])
    }

    fn protocol(&mut self, field: &str, text: &str) -> Option<Protocol> {
        match text {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            other => {
                self.refuse(field, format!("`{other}` is not a protocol"), "write `tcp` or `udp`");
                None
            }
        }
    }

    fn range(&mut self, field: &str, text: &str) -> Option<Vec<u16>> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) if first > 0 && first <= last && last - first < LONGEST_RANGE => {
                Some((first..=last).collect())
            }
            _ => {
                self.fault(field, format!("`{text}` is not a port, nor a range of at most {LONGEST_RANGE}"));
                None
            }
        }
    }

    /// Limits and requests: `deploy.resources` first, then the older keys of the service itself.
    pub(crate) fn resources(&mut self, field: &str, service: &Map<String, Value>) -> Resources {
        let deploy = service.get("deploy").and_then(|deploy| deploy.get("resources"));
        let of = |group: &str, key: &str| {
            deploy.and_then(|deploy| deploy.get(group)).and_then(|group| group.get(key))
        };
        if of("reservations", "devices").is_some() {
            self.refuse(
                format!("{field}.deploy.resources.reservations.devices"),
                "devices of the node cannot be given to a container",
                "leave it out",
            );
        }
        let reserved = deploy.and_then(|deploy| deploy.get("reservations"));
        if self.around.as_resource && reserved.is_some_and(|reserved| !reserved.is_null()) {
            self.note(
                format!("{field}.deploy.resources.reservations"),
                "a quarter of the limits is set aside, as for every resource",
            );
        }
        let mut resources = Resources::default();
        let limit = self.cpu(field, "deploy.resources.limits.cpus", of("limits", "cpus"));
        resources.cpu_limit = limit.or_else(|| self.cpu(field, "cpus", service.get("cpus")));
        let limit = self.memory(field, "deploy.resources.limits.memory", of("limits", "memory"));
        resources.memory_limit = limit.or_else(|| self.memory(field, "mem_limit", service.get("mem_limit")));
        let asked = self.cpu(field, "deploy.resources.reservations.cpus", of("reservations", "cpus"));
        // A request above the limit could never be used.
        let most = resources.cpu_limit.unwrap_or(resources.cpu);
        resources.cpu = asked.unwrap_or_else(|| resources.cpu.min(most));
        let asked = self.memory(field, "deploy.resources.reservations.memory", of("reservations", "memory"));
        let asked = asked.or_else(|| self.memory(field, "mem_reservation", service.get("mem_reservation")));
        let most = resources.memory_limit.unwrap_or(resources.memory);
        resources.memory = asked.unwrap_or_else(|| resources.memory.min(most));
        resources
    }

    fn cpu(&mut self, field: &str, key: &str, value: Option<&Value>) -> Option<Cpu> {
        value.and_then(|value| self.take(&format!("{field}.{key}"), cpus(value)))
    }

    fn memory(&mut self, field: &str, key: &str, value: Option<&Value>) -> Option<Bytes> {
        value.and_then(|value| self.take(&format!("{field}.{key}"), size(value)))
    }
}

fn of(container_port: u16, host_port: Option<u16>, protocol: Protocol) -> PortSpec {
    let text = match protocol {
        Protocol::Tcp => format!("tcp-{container_port}"),
        Protocol::Udp => format!("udp-{container_port}"),
    };
    #[expect(clippy::expect_used, reason = "letters, a dash and a number make a DNS label")]
    let name = text.parse().expect("a DNS label");
    PortSpec { name, container_port, host_port, protocol }
}
