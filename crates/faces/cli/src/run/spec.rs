//! From the flags of `run` to a workload spec.

use std::str::FromStr;

use rand::RngExt;
use univrs_model::check;
use univrs_model::name::Name;
use univrs_model::workload::{ContainerSpec, PortSpec, Protocol, RestartWhen, WorkloadKind, WorkloadSpec};

use crate::fault::Fault;
use crate::run::RunArgs;

/// A port of the node that leads to a port of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    host: Option<u16>,
    container: u16,
    protocol: Protocol,
}

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || format!("`{text}` is not HOST:CONTAINER, such as `8080:80` or `5353:53/udp`");
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(fail);
        let (ports, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(fail()),
        };
        match ports.split_once(':') {
            Some((host, container)) => {
                Ok(Self { host: Some(port(host)?), container: port(container)?, protocol })
            }
            None => Ok(Self { host: None, container: port(ports)?, protocol }),
        }
    }
}

impl RunArgs {
    /// The workload that the flags describe, checked as a file would be.
    pub(crate) fn spec(&self) -> Result<WorkloadSpec, Fault> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => self.name_of_image()?,
        };
        let mut container = ContainerSpec::of_image("app", &self.image);
        container.args.clone_from(&self.command);
        container.env = self.env.iter().cloned().collect();
        container.resources.cpu = self.cpu.unwrap_or(container.resources.cpu);
        container.resources.memory = self.memory.unwrap_or(container.resources.memory);
        for publish in &self.publish {
            container.ports.push(port(*publish)?);
        }
        let mut spec: WorkloadSpec =
            serde_json::from_value(serde_json::json!({"name": name, "image": self.image}))
                .map_err(|error| Fault::failed(format!("the spec cannot be made: {error}"), None))?;
        spec.image = None;
        spec.containers = vec![container];
        spec.replicas = self.replicas;
        spec.labels = self.labels.iter().cloned().collect();
        if self.rm {
            spec.kind = WorkloadKind::Job;
            spec.restart.policy = RestartWhen::Never;
        }
        let faults = check::workload(&spec);
        if faults.is_empty() { Ok(spec) } else { Err(Fault::Document { file: "run".to_owned(), faults }) }
    }

    /// The last part of the image's name; with `--rm` made unique, since several may run at once.
    fn name_of_image(&self) -> Result<Name, Fault> {
        let base = plain(&self.image);
        let text = if self.rm {
            const LETTERS: &[u8; 30] = b"23456789abcdefghijkmnpqrstvwxz";
            let mut random = rand::rng();
            let suffix: String =
                (0..6).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect();
            format!("{base}-{suffix}")
        } else {
            base
        };
        let hint = "give it a name with --name";
        text.parse().map_err(|_| Fault::usage(format!("no name can be made of `{}`", self.image), hint))
    }
}

/// `registry.example/team/My_App:1` → `my-app`.
fn plain(image: &str) -> String {
    let without_digest = image.split('@').next().unwrap_or_default();
    let last = without_digest.rsplit('/').next().unwrap_or_default();
    let word = last.split(':').next().unwrap_or_default().to_lowercase();
    let letters: String = word
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(50)
        .collect();
    letters.trim_matches('-').to_owned()
}

fn port(publish: Publish) -> Result<PortSpec, Fault> {
    let suffix = match publish.protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "-udp",
    };
    let name = format!("p{}{suffix}", publish.container);
    let name = name.parse().map_err(|error| Fault::failed(format!("{error}"), None))?;
    Ok(PortSpec {
        name,
        container_port: publish.container,
        host_port: publish.host,
        protocol: publish.protocol,
    })
}

#[cfg(test)]
mod tests {
    use univrs_model::workload::Protocol;

    use super::{Publish, plain};

    #[test]
    fn published_ports_read_as_docker_writes_them() {
        for (text, host, container, protocol) in [
            ("8080:80", Some(8080), 80, Protocol::Tcp),
            ("80", None, 80, Protocol::Tcp),
            ("5353:53/udp", Some(5353), 53, Protocol::Udp),
            ("1:2/tcp", Some(1), 2, Protocol::Tcp),
        ] {
            assert_eq!(text.parse(), Ok(Publish { host, container, protocol }), "{text}");
        }
        for bad in ["", "0:80", "80:0", "a:b", "1:2:3", "80/sctp", "70000:1"] {
            assert!(bad.parse::<Publish>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_come_from_the_last_part_of_the_image() {
        for (image, name) in [
            ("nginx:1", "nginx"),
            ("registry.example:5000/team/My_App:1", "my-app"),
            ("app@sha256:00", "app"),
            ("_:1", ""),
        ] {
            assert_eq!(plain(image), name);
        }
    }
}
