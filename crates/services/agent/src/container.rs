//! From an order and a prepared image to what the runtime is asked to run. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use univrs_model::instance::InstanceOrder;
use univrs_model::name::Name;
use univrs_model::resource::GROUP_LABEL;
use univrs_model::workload::{ContainerSpec as Wanted, HostPort};
use univrs_ports::images::PreparedImage;
use univrs_ports::network::PublishedPort;
use univrs_ports::runtime::{ContainerId, ContainerSpec, Limits, LogLimits, Mount, MountSource};

use crate::secrets::ForContainer;

/// The search path of a container whose image states none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a container cannot be put together; trying again will not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Impossible {
    /// A secret's value cannot stand in a variable.
    #[error("container {container}: the secret for `{variable}` is not text; deliver it as a `file`")]
    NotText {
        /// Which container.
        container: Name,
        /// The variable.
        variable: String,
    },
    /// Neither the image nor the workload says what to run.
    #[error(
        "container {container}: neither the image `{image}` nor the workload says what to run; set `command`"
    )]
    NothingToRun {
        /// Which container.
        container: Name,
        /// Its image.
        image: String,
    },
}

/// What the node has prepared for an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Files that appear in every container, as (file of the host, path in the container).
    pub(crate) files: Vec<(PathBuf, PathBuf)>,
    /// Where each volume lies on the host.
    pub(crate) volumes: BTreeMap<Name, PathBuf>,
}

/// The container that the runtime is asked for.
///
/// # Errors
/// See [`Impossible`].
pub(crate) fn spec(
    order: &InstanceOrder,
    wanted: &Wanted,
    image: &PreparedImage,
    attempt: u32,
    around: &Surroundings,
    secrets: &ForContainer,
) -> Result<ContainerSpec, Impossible> {
    let config = &image.config;
    let entrypoint = if wanted.command.is_empty() { &config.entrypoint } else { &wanted.command };
    // As Docker has it: a new entrypoint drops the image's arguments.
    let args = match (wanted.args.is_empty(), wanted.command.is_empty()) {
        (false, _) => wanted.args.clone(),
        (true, true) => config.cmd.clone(),
        (true, false) => Vec::new(),
    };
    let command: Vec<String> = entrypoint.iter().cloned().chain(args).collect();
    if command.is_empty() {
        return Err(Impossible::NothingToRun { container: wanted.name.clone(), image: wanted.image.clone() });
    }
    let mut env = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    env.extend(config.env.clone());
    env.extend([
        ("HOSTNAME".to_owned(), hostname(order)),
        ("UNIVRS_INSTANCE".to_owned(), order.assignment.id.to_string()),
        ("UNIVRS_WORKLOAD".to_owned(), order.assignment.workload.to_string()),
    ]);
    env.extend(wanted.env.clone());
    let mut mounts: Vec<Mount> = around
        .files
        .iter()
        .map(|(file, target)| Mount {
            source: MountSource::Host(file.clone()),
            target: target.clone(),
            read_only: true,
        })
        .collect();
    for mount in &wanted.mounts {
        let Some(volume) = around.volumes.get(&mount.volume) else { continue };
        // What a user binds stays its owner's.
        let bound =
            order.spec.volumes.iter().any(|known| known.name == mount.volume && known.host_path.is_some());
        let source =
            if bound { MountSource::Host(volume.clone()) } else { MountSource::Volume(volume.clone()) };
        mounts.push(Mount { source, target: PathBuf::from(&mount.path), read_only: mount.read_only });
    }
    mounts.extend(secrets.files.iter().map(|(file, target)| Mount {
        source: MountSource::Owned(file.clone()),
        target: target.clone(),
        read_only: true,
    }));
    for (name, value) in &secrets.env {
        if std::str::from_utf8(value.expose()).is_err() || value.expose().contains(&0) {
            return Err(Impossible::NotText { container: wanted.name.clone(), variable: name.clone() });
        }
    }
    let or = |first: &str, second: &str| if first.is_empty() { second.to_owned() } else { first.to_owned() };
    Ok(ContainerSpec {
        id: ContainerId { instance: order.assignment.id.clone(), container: wanted.name.clone() },
        attempt,
        image: image.clone(),
        command,
        env,
        secret_env: secrets.env.clone(),
        working_dir: or(wanted.working_dir.as_deref().unwrap_or(&config.working_dir), "/"),
        user: wanted.user.clone().unwrap_or_else(|| config.user.clone()),
        hostname: hostname(order),
        mounts,
        limits: Limits {
            cpu_request: wanted.resources.cpu,
            cpu: wanted.resources.cpu_limit,
            memory: wanted.resources.memory_limit,
            ..Limits::default()
        },
        stop_signal: or(&config.stop_signal, "SIGTERM"),
        labels: BTreeMap::from([
            ("dev.univrs.org".to_owned(), order.assignment.org.to_string()),
            ("dev.univrs.workload".to_owned(), order.assignment.workload.to_string()),
            ("dev.univrs.instance".to_owned(), order.assignment.id.to_string()),
            ("dev.univrs.fence".to_owned(), order.assignment.fence.to_string()),
        ]),
        log: LogLimits::default(),
    })
}

/// The name of the machine as an instance's containers see it: its workload and the end of its id.
pub(crate) fn hostname(order: &InstanceOrder) -> String {
    let id = order.assignment.id.as_str();
    let short = id.strip_prefix("in_").unwrap_or(id);
    let mut workload = order.assignment.workload.to_string();
    workload.truncate(50);
    format!("{workload}-{short}")
}

/// The ports of the host that lead to an instance.
pub(crate) fn published_ports(order: &InstanceOrder) -> Vec<PublishedPort> {
    let containers = order.spec.containers();
    containers
        .iter()
        .flat_map(|container| &container.ports)
        .filter_map(|port| {
            let HostPort { port: host_port, protocol } =
                HostPort { port: port.host_port?, protocol: port.protocol };
            Some(PublishedPort { host_port, container_port: port.container_port, protocol })
        })
        .collect()
}

/// The text of `/etc/hosts` for an instance.
pub(crate) fn hosts_file(order: &InstanceOrder, address: Ipv4Addr) -> String {
    let name = hostname(order);
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{name}\n")
}

/// The text of `/etc/resolv.conf`: the node's name server first looks for names of workloads, those of the same group
/// before all others.
pub(crate) fn resolv_file(order: &InstanceOrder, name_server: Ipv4Addr) -> String {
    let group = order.spec.labels.get(GROUP_LABEL).filter(|group| group.parse::<Name>().is_ok());
    let first = group.map(|group| format!("{group}.{}.internal ", order.assignment.org)).unwrap_or_default();
    format!("nameserver {name_server}\nsearch {first}internal\noptions ndots:1 timeout:2\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use univrs_model::decode::from_json;
    use univrs_model::ids::{InstanceId, WorkloadId};
    use univrs_model::instance::{Assignment, Desired, InstanceOrder};
    use univrs_model::name::Name;
    use univrs_model::workload::WorkloadSpec;
    use univrs_ports::images::{ImageConfig, PreparedImage};

    use super::{ForContainer, Impossible, Surroundings, hostname, spec};

    pub(crate) fn order(body: &str) -> InstanceOrder {
        let spec: WorkloadSpec = from_json(body.as_bytes()).unwrap();
        let assignment = Assignment {
            id: InstanceId::from_bits(7),
            org: Name::default_org(),
            workload_id: WorkloadId::from_bits(1),
            workload: spec.name.clone(),
            workload_revision: 1,
            slot: 0,
            requests: spec.requests(),
            node: None,
            desired: Desired::Run,
            fence: 1,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            stop_requested_at: None,
            reason: String::new(),
            lost: false,
        };
        InstanceOrder { assignment, spec: Arc::new(spec), secrets: std::collections::BTreeMap::new() }
    }

    fn image(entrypoint: &[&str], cmd: &[&str]) -> PreparedImage {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let config = ImageConfig { entrypoint: list(entrypoint), cmd: list(cmd), ..ImageConfig::default() };
        PreparedImage {
            reference: "web".into(),
            digest: "sha256:0".into(),
            layers: Vec::new(),
            config,
            fetched: false,
        }
    }

    #[test]
    fn commands_join_as_docker_joins_them() {
        let plain = r#"{"name":"web","image":"web"}"#;
        let args = r#"{"name":"web","containers":[{"name":"a","image":"web","args":["x"]}]}"#;
        let command = r#"{"name":"web","containers":[{"name":"a","image":"web","command":["run"]}]}"#;
        for (body, expected) in [(plain, vec!["e", "c"]), (args, vec!["e", "x"]), (command, vec!["run"])] {
            let order = order(body);
            let wanted = order.spec.containers().remove(0);
            let made = spec(
                &order,
                &wanted,
                &image(&["e"], &["c"]),
                0,
                &Surroundings::default(),
                &ForContainer::default(),
            )
            .unwrap();
            assert_eq!(made.command, expected);
        }
    }

    #[test]
    fn nothing_to_run_is_told() {
        let order = order(r#"{"name":"web","image":"web"}"#);
        let wanted = order.spec.containers().remove(0);
        let made =
            spec(&order, &wanted, &image(&[], &[]), 0, &Surroundings::default(), &ForContainer::default());
        assert!(matches!(made, Err(Impossible::NothingToRun { .. })));
    }

    #[test]
    fn host_names_fit_the_kernel() {
        let name = "a".repeat(63);
        let order = order(&format!(r#"{{"name":"{name}","image":"web"}}"#));
        assert!(hostname(&order).len() <= 63);
    }
}
