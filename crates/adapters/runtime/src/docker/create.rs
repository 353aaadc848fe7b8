//! From what is wanted to what the engine is asked to create. Pure.
//!
//! The restrictions are those of the `oci` runtime, as far as Docker offers them.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount as DockerMount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, RestartPolicy, RestartPolicyNameEnum,
};
use univrs_docker::pause;
use univrs_model::ids::InstanceId;
use univrs_ports::runtime::{ContainerSpec, Limits, LogLimits, Mount, MountSource};

use super::names::Names;
use crate::spec::{CAPABILITIES, MASKED, READ_ONLY, cpu_quota, cpu_shares};

/// How many threads a sandbox may have. The program that holds it has one, but the engine's own start runs in
/// the same control group first, and its Go runtime makes threads as it needs them: refused one, it dies, and the
/// engine answers "cannot start a stopped process" (with a limit of 1, 2 of 40 starts on a busy machine).
const PIDS_OF_START: i64 = 64;

/// The container that holds an instance's network namespace.
pub(super) fn sandbox(
    names: &Names,
    instance: &InstanceId,
    hostname: &str,
    image: &str,
) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![pause::PROGRAM.to_owned()]),
        hostname: Some(hostname.to_owned()),
        labels: Some(names.sandbox_labels(instance)),
        host_config: Some(HostConfig {
            // The link into it is ours to make.
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            readonly_rootfs: Some(true),
            pids_limit: Some(PIDS_OF_START),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..restricted()
        }),
        ..ContainerCreateBody::default()
    }
}

/// A container in an instance's sandbox, from the engine's copy `image`.
pub(super) fn container(names: &Names, spec: &ContainerSpec, image: &str) -> ContainerCreateBody {
    let mut labels: HashMap<String, String> =
        spec.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    // Ours last: they say what is ours.
    labels.extend(names.attempt_labels(&spec.id, spec.attempt, &spec.image.digest));
    ContainerCreateBody {
        image: Some(image.to_owned()),
        // With an entrypoint the image's own command is left out.
        entrypoint: Some(spec.command.clone()),
        env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        user: Some(spec.user.clone()),
        working_dir: Some(if spec.working_dir.is_empty() { "/" } else { &spec.working_dir }.to_owned()),
        stop_signal: Some(spec.stop_signal.clone()).filter(|signal| !signal.is_empty()),
        // Checks are made by the node.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        labels: Some(labels),
        host_config: Some(HostConfig {
            network_mode: Some(format!("container:{}", names.sandbox(&spec.id.instance))),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(CAPABILITIES.iter().map(|name| (*name).to_owned()).collect()),
            mounts: Some(spec.mounts.iter().filter_map(bind).collect()),
            tmpfs: Some(spec.mounts.iter().filter_map(memory).collect()),
            log_config: Some(log(spec.log)),
            ..limited(spec.limits)
        }),
        ..ContainerCreateBody::default()
    }
}

/// What holds for every container.
fn restricted() -> HostConfig {
    HostConfig {
        // Restarts are decided by the node.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        masked_paths: Some(MASKED.iter().map(|path| (*path).to_owned()).collect()),
        readonly_paths: Some(READ_ONLY.iter().map(|path| (*path).to_owned()).collect()),
        ipc_mode: Some("private".to_owned()),
        ..HostConfig::default()
    }
}

fn limited(limits: Limits) -> HostConfig {
    let memory = limits.memory.map(|memory| i64::try_from(memory.get()).unwrap_or(i64::MAX));
    HostConfig {
        cpu_shares: Some(cpu_shares(limits.cpu_request)),
        cpu_period: limits.cpu.map(|_| 100_000),
        cpu_quota: limits.cpu.map(cpu_quota),
        memory,
        // Both together: no swap beyond the limit.
        memory_swap: memory,
        pids_limit: Some(i64::from(limits.pids)),
        ..restricted()
    }
}

fn bind(mount: &Mount) -> Option<DockerMount> {
    let (MountSource::Host(source) | MountSource::Volume(source) | MountSource::Owned(source)) =
        &mount.source
    else {
        return None;
    };
    Some(DockerMount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(mount.target.to_string_lossy().into_owned()),
        read_only: Some(mount.read_only),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..DockerMount::default()
    })
}

fn memory(mount: &Mount) -> Option<(String, String)> {
    let MountSource::Memory { size } = mount.source else { return None };
    let access = if mount.read_only { "ro" } else { "rw" };
    let options = format!("{access},exec,nosuid,nodev,mode=1777,size={}", size.get());
    Some((mount.target.to_string_lossy().into_owned(), options))
}

fn log(limits: LogLimits) -> HostConfigLogConfig {
    let config = [
        ("max-size".to_owned(), limits.max_bytes.max(1).to_string()),
        // The one being written counts too.
        ("max-file".to_owned(), limits.kept_files.saturating_add(1).to_string()),
    ];
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(config.into()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use univrs_model::ids::{InstanceId, NodeId};
    use univrs_model::quantity::{Bytes, Cpu};
    use univrs_ports::images::{ImageConfig, PreparedImage};
    use univrs_ports::runtime::{ContainerId, ContainerSpec, Limits, LogLimits, Mount, MountSource};

    use super::super::names::{NODE, Names};
    use super::container;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            id: ContainerId { instance: InstanceId::from_bits(1), container: "app".parse().unwrap() },
            attempt: 1,
            image: PreparedImage {
                reference: "web:1".to_owned(),
                digest: "sha256:ab".to_owned(),
                layers: Vec::new(),
                config: ImageConfig::default(),
                fetched: false,
            },
            command: vec!["/bin/app".to_owned(), "serve".to_owned()],
            env: BTreeMap::from([("A".to_owned(), "b=c".to_owned())]),
            secret_env: BTreeMap::new(),
            working_dir: String::new(),
            user: "web".to_owned(),
            hostname: "box".to_owned(),
            mounts: vec![
                Mount {
                    source: MountSource::Host("/srv/data".into()),
                    target: "/data".into(),
                    read_only: true,
                },
                Mount {
                    source: MountSource::Memory { size: Bytes::new(4096) },
                    target: "/secrets".into(),
                    read_only: false,
                },
            ],
            limits: Limits {
                cpu: Some(Cpu::millicores(250)),
                memory: Some(Bytes::new(1 << 26)),
                ..Limits::default()
            },
            stop_signal: "SIGINT".to_owned(),
            labels: BTreeMap::from([(NODE.to_owned(), "nd_forged".to_owned())]),
            log: LogLimits { max_bytes: 1000, kept_files: 2 },
        }
    }

    #[test]
    fn nothing_of_what_is_wanted_is_lost() {
        let names = Names::new(NodeId::from_bits(7));
        let body = container(&names, &spec(), "copy:1");
        assert_eq!(body.entrypoint.unwrap(), ["/bin/app", "serve"]);
        assert_eq!((body.cmd, body.env.unwrap()), (None, vec!["A=b=c".to_owned()]));
        assert_eq!(body.working_dir.as_deref(), Some("/"));
        let host = body.host_config.unwrap();
        assert_eq!(
            (host.cpu_quota, host.memory, host.memory_swap),
            (Some(25_000), Some(1 << 26), Some(1 << 26))
        );
        assert_eq!(host.pids_limit, Some(4096));
        let mounts = host.mounts.unwrap();
        assert_eq!((mounts.len(), mounts[0].read_only), (1, Some(true)));
        assert_eq!(host.tmpfs.unwrap()["/secrets"], "rw,exec,nosuid,nodev,mode=1777,size=4096");
        let log = host.log_config.unwrap().config.unwrap();
        assert_eq!((log["max-size"].as_str(), log["max-file"].as_str()), ("1000", "3"));
    }

    #[test]
    fn labels_of_the_workload_cannot_replace_ours() {
        let names = Names::new(NodeId::from_bits(7));
        let body = container(&names, &spec(), "copy:1");
        assert_eq!(body.labels.unwrap()[NODE], names.node().as_str());
    }
}
