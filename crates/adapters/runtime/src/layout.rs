//! Where things are: every path that a node's containers use.
//!
//! ```text
//! <run>/filter.bpf                           which system calls are allowed
//! <run>/<instance>/netns                     network namespace (a bind mount)
//! <run>/<instance>/c/<container>/            one container: plan.json state.json exit.json ctl.sock lock …
//! <data>/<instance>/<container>/upper, work  what the container wrote
//! <data>/<instance>/<container>/log/         what it said, over all its attempts
//! /univrs/<node>/<instance>.<container>      its cgroup
//! ```

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use univrs_model::ids::{InstanceId, NodeId};
use univrs_ports::runtime::ContainerId;

/// What the shim is told to do.
pub(crate) const PLAN: &str = "plan.json";
/// That the container runs, or ran.
pub(crate) const STATE: &str = "state.json";
/// How it ended.
pub(crate) const EXIT: &str = "exit.json";
/// The shim's control socket.
pub(crate) const CONTROL: &str = "ctl.sock";
/// Locked by the shim as long as it lives.
pub(crate) const LOCK: &str = "lock";
/// Where the library that makes containers keeps its state, below the container's directory.
pub(crate) const LIBRARY: &str = "c";
/// What went wrong in the shim.
pub(crate) const COMPLAINTS: &str = "shim.err";
/// Its log, below its data.
pub(crate) const LOG: &str = "log";
/// The container's file system.
pub(crate) const ROOTFS: &str = "rootfs";

/// The paths of one node.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) run: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) cgroup: String,
}

impl Layout {
    pub(crate) fn new(node: &NodeId, run: PathBuf, data: PathBuf) -> Self {
        let short = node.as_str().strip_prefix(NodeId::PREFIX).unwrap_or(node.as_str());
        Self { run, data, cgroup: format!("/univrs/{short}") }
    }

    /// Where the filter for system calls is.
    pub(crate) fn filter(&self) -> PathBuf {
        self.run.join("filter.bpf")
    }

    /// Makes the two directories. Only root may look in: images have programs that run as their owner.
    pub(crate) fn make(&self) -> io::Result<()> {
        for dir in [&self.run, &self.data] {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    pub(crate) fn sandbox(&self, instance: &InstanceId) -> PathBuf {
        self.run.join(instance.as_str())
    }

    pub(crate) fn netns(&self, instance: &InstanceId) -> PathBuf {
        self.sandbox(instance).join("netns")
    }

    pub(crate) fn containers(&self, instance: &InstanceId) -> PathBuf {
        self.sandbox(instance).join("c")
    }

    pub(crate) fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers(&id.instance).join(id.container.as_str())
    }

    pub(crate) fn instance_data(&self, instance: &InstanceId) -> PathBuf {
        self.data.join(instance.as_str())
    }

    pub(crate) fn data(&self, id: &ContainerId) -> PathBuf {
        self.instance_data(&id.instance).join(id.container.as_str())
    }

    pub(crate) fn log(&self, id: &ContainerId) -> PathBuf {
        self.data(id).join(LOG)
    }

    pub(crate) fn cgroup(&self, id: &ContainerId) -> String {
        format!("{}/{id}", self.cgroup)
    }

    /// The instances that have anything here.
    pub(crate) fn instances(&self) -> Vec<InstanceId> {
        let mut found: Vec<InstanceId> = [&self.run, &self.data]
            .into_iter()
            .flat_map(|dir| names(dir))
            .filter_map(|name| name.parse().ok())
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// The containers of an instance that have a directory.
    pub(crate) fn containers_of(&self, instance: &InstanceId) -> Vec<ContainerId> {
        let mut found: Vec<ContainerId> = names(&self.containers(instance))
            .into_iter()
            .filter_map(|name| name.parse().ok())
            .map(|container| ContainerId { instance: instance.clone(), container })
            .collect();
        found.sort();
        found
    }
}

/// The names in a directory; none when there is no such directory.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir)
        .map(|entries| {
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect::<Vec<_>>()
        })
        .unwrap_or_default()
}
