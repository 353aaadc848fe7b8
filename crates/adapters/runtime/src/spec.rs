//! From a plan to the configuration that the OCI runtime specification describes.

use std::collections::BTreeMap;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use serde_json::{Value, json};
use univrs_model::quantity::Cpu;
use univrs_ports::runtime::{Mount, MountSource};

use crate::cgroup::Cgroups;
use crate::layout;
use crate::record::Plan;
use univrs_docker::users::User;

/// Where programs are looked for when the container does not say.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What root may do in a container. Against common practice it may not make device nodes: on machines with cgroup
/// version 2 nothing would keep it from using them.
pub(crate) const CAPABILITIES: [&str; 13] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
/// Tells about the host or lets the host be harmed; hidden.
pub(crate) const MASKED: [&str; 14] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/kmsg",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/debug",
];
/// May be read only.
pub(crate) const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// The controllers of cgroup version 1 that programs read their limits from.
const SHOWN_CONTROLLERS: [&str; 5] = ["memory", "cpu", "cpuacct", "cpuset", "pids"];
/// What the kernel takes.
const LONGEST_HOSTNAME: usize = 64;
/// Open files that a container may have at once: asked for, and where the kernel grants less, less.
const OPEN_FILES: (u64, u64) = (65_536, 1 << 20);

/// The configuration for `plan`, run as `user`.
pub(crate) fn configuration(plan: &Plan, user: &User, cgroups: &Cgroups) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "root": { "path": layout::ROOTFS, "readonly": false },
        "hostname": plan.hostname,
        "process": process(plan, user),
        "mounts": mounts(plan, cgroups),
        "annotations": plan.labels,
        "linux": {
            "cgroupsPath": plan.cgroup,
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" },
                { "type": "network", "path": plan.netns },
            ],
            "resources": resources(plan),
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    })
}

fn process(plan: &Plan, user: &User) -> Value {
    let mut env: Vec<String> = plan.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !plan.env.contains_key("PATH") {
        env.push(PATH.to_owned());
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_or(OPEN_FILES, |(_, most)| (OPEN_FILES.0.min(most), OPEN_FILES.1.min(most)));
    json!({
        "terminal": false,
        "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
        "args": plan.command,
        "env": env,
        "cwd": working_dir(plan),
        "capabilities": {
            "bounding": CAPABILITIES,
            "effective": CAPABILITIES,
            "permitted": CAPABILITIES,
            "inheritable": [],
            "ambient": [],
        },
        "noNewPrivileges": true,
        "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": soft, "hard": hard }],
    })
}

/// Where the container's program starts.
pub(crate) fn working_dir(plan: &Plan) -> &str {
    if plan.working_dir.is_empty() { "/" } else { &plan.working_dir }
}

/// Weight among others, 1024 for a whole core.
pub(crate) fn cpu_shares(request: Cpu) -> i64 {
    let shares = request.as_millicores().saturating_mul(1024) / 1000;
    i64::try_from(shares.clamp(2, 262_144)).unwrap_or(262_144)
}

/// Microseconds of processor time in every 100 ms. The kernel accepts no quota below one millisecond.
pub(crate) fn cpu_quota(limit: Cpu) -> i64 {
    i64::try_from(limit.as_millicores().saturating_mul(100).max(1000)).unwrap_or(i64::MAX)
}

fn resources(plan: &Plan) -> Value {
    let limits = &plan.limits;
    let mut resources = json!({
        "devices": [{ "allow": false, "type": "a", "access": "rwm" }],
        "cpu": { "shares": cpu_shares(limits.cpu_request) },
        "pids": { "limit": limits.pids },
    });
    if let Some(cpu) = limits.cpu {
        resources["cpu"]["period"] = json!(100_000);
        resources["cpu"]["quota"] = json!(cpu_quota(cpu));
    }
    if let Some(memory) = limits.memory {
        resources["memory"] = json!({ "limit": memory.get() });
    }
    resources
}

fn mount(target: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": target, "type": kind, "source": source, "options": options })
}

fn mounts(plan: &Plan, cgroups: &Cgroups) -> Vec<Value> {
    let quiet = ["nosuid", "noexec", "nodev"];
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &quiet),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &quiet),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    if cgroups.is_unified() {
        mounts.push(mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        ));
    } else {
        // For version 1 the library would mount every controller writable: root could lift its own limits.
        mounts.push(mount(
            "/sys/fs/cgroup",
            "tmpfs",
            "cgroup",
            &["nosuid", "noexec", "nodev", "mode=755", "size=64k"],
        ));
        for controller in SHOWN_CONTROLLERS {
            if let Some(dir) = cgroups.dir(controller, &plan.cgroup) {
                let target = format!("/sys/fs/cgroup/{controller}");
                let options = ["rbind", "ro", "nosuid", "noexec", "nodev"];
                mounts.push(mount(&target, "bind", &dir.to_string_lossy(), &options));
            }
        }
    }
    // Outer targets first, so that none hides another.
    let mut wanted: Vec<&Mount> = plan.mounts.iter().collect();
    wanted.sort_by_key(|mount| mount.target.components().count());
    mounts.extend(wanted.into_iter().map(wanted_mount));
    mounts
}

fn wanted_mount(wanted: &Mount) -> Value {
    let target = wanted.target.to_string_lossy();
    let mut options = vec!["nosuid".to_owned(), "nodev".to_owned()];
    match &wanted.source {
        MountSource::Host(path) | MountSource::Volume(path) | MountSource::Owned(path) => {
            options.push("rbind".to_owned());
            if wanted.read_only {
                options.extend(["ro".to_owned(), "rro".to_owned()]);
            }
            json!({ "destination": target, "type": "bind", "source": path, "options": options })
        }
        MountSource::Memory { size } => {
            options.extend(["mode=1777".to_owned(), format!("size={}", size.get())]);
            if wanted.read_only {
                options.push("ro".to_owned());
            }
            json!({ "destination": target, "type": "tmpfs", "source": "tmpfs", "options": options })
        }
    }
}

/// What is wrong with a plan, if that can be told before trying.
pub(crate) fn problem(plan: &Plan) -> Option<String> {
    container_problem(&plan.hostname, &plan.command, &plan.env, &plan.mounts)
}

/// The same for what a plan is made of.
pub(crate) fn container_problem(
    hostname: &str,
    command: &[String],
    env: &BTreeMap<String, String>,
    mounts: &[Mount],
) -> Option<String> {
    if hostname.len() > LONGEST_HOSTNAME {
        return Some(format!("the host name is longer than {LONGEST_HOSTNAME} bytes"));
    }
    command_problem(command, env.iter()).or_else(|| mounts.iter().find_map(mount_problem))
}

/// What is wrong with a command line or its environment.
pub(crate) fn command_problem<'a>(
    command: &[String],
    mut env: impl Iterator<Item = (&'a String, &'a String)>,
) -> Option<String> {
    if command.is_empty() {
        return Some("the command is empty".to_owned());
    }
    if command.iter().any(|word| word.contains('\0')) {
        return Some("the command has a zero byte".to_owned());
    }
    env.find(|(key, value)| key.is_empty() || key.contains(['=', '\0']) || value.contains('\0'))
        .map(|(key, _)| format!("the environment cannot have `{}`", key.escape_default()))
}

fn mount_problem(wanted: &Mount) -> Option<String> {
    if !wanted.target.is_absolute() || wanted.target == Path::new("/") {
        return Some(format!("mount target `{}` is not an absolute path below /", wanted.target.display()));
    }
    match &wanted.source {
        MountSource::Host(path) | MountSource::Volume(path) | MountSource::Owned(path) if !path.exists() => {
            Some(format!("mount source {} does not exist", path.display()))
        }
        MountSource::Memory { size } if size.get() == 0 => {
            Some(format!("the memory at {} has no size", wanted.target.display()))
        }
        _ => None,
    }
}
