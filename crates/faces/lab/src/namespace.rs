//! Network namespaces: named as `ip netns` names them, and entered by a thread of their own, so that no other thread
//! ever changes place.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns};

use crate::error::LabError;
use crate::tool;

/// Where `ip netns` keeps namespaces.
const FOLDER: &str = "/run/netns";

/// Makes a namespace.
pub(crate) fn create(name: &str) -> Result<(), LabError> {
    tool::ip(&["netns", "add", name])
}

/// Removes a namespace with all its links; one that is not there is fine.
pub(crate) fn remove(name: &str) -> Result<(), LabError> {
    if path(name).exists() { tool::ip(&["netns", "del", name]) } else { Ok(()) }
}

/// The namespaces whose names begin so.
pub(crate) fn all(prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// The number by which `/proc/<pid>/ns/net` tells that a process is in it.
pub(crate) fn inode(name: &str) -> Option<u64> {
    std::fs::metadata(path(name)).ok().map(|meta| meta.ino())
}

/// Does `work` in a namespace. What it starts and opens there stays there.
pub(crate) fn inside<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
    let namespace = File::open(path(name)).map_err(LabError::file("open", path(name)))?;
    let step = || format!("enter namespace {name}");
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| setns(&namespace, CloneFlags::CLONE_NEWNET).map(|()| work()));
        match thread.join() {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(LabError::step(step(), error)),
            Err(_) => Err(LabError::step(step(), "the thread died")),
        }
    })
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(name)
}
