//! Removes a lab: processes, containers, namespaces with their links, mounts and files.

use std::fs;
use std::path::Path;

use crate::error::LabError;
use crate::namespace;
use crate::nodes;
use crate::processes;
use crate::state::{self, Lab, directory};

/// How many nodes are taken apart at a time.
const AT_ONCE: usize = 8;

/// Removes a lab by name. Answers whether there was one.
///
/// # Errors
/// When something of it stays; it may be repeated.
pub fn remove(name: &str, dir: Option<&Path>) -> Result<bool, LabError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    let dir = directory(name, dir);
    match Lab::load(&dir) {
        Ok(lab) => {
            let _held = state::hold(&dir)?;
            take_down(&lab).map(|()| true)
        }
        // Half of a lab without its file is removed as far as its names tell.
        Err(LabError::Absent { .. }) => {
            let strays = namespace::all(&state::prefix(name));
            for stray in &strays {
                end(stray)?;
                namespace::remove(stray)?;
            }
            Ok(!strays.is_empty())
        }
        Err(error) => Err(error),
    }
}

/// Removes everything of a lab, in the order in which nothing is made anew.
pub(crate) fn take_down(lab: &Lab) -> Result<(), LabError> {
    if let Some(keeper) = lab.keeper {
        processes::end_one(keeper)?;
    }
    let mut faults = Vec::new();
    for seats in lab.layout.seats.chunks(AT_ONCE) {
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> =
                seats.iter().map(|seat| scope.spawn(|| take_apart(lab, &seat.name))).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for result in taken {
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => faults.push(error.to_string()),
                Err(_) => faults.push("a thread died".to_owned()),
            }
        }
    }
    for namespace in namespace::all(&state::prefix(&lab.name)) {
        namespace::remove(&namespace)?;
    }
    // Files are removed only when nothing of another place is mounted among them.
    faults.extend(mounts_below(&lab.dir).into_iter().map(|mount| format!("the mount {mount}")));
    if !faults.is_empty() {
        return Err(LabError::Left { left: faults });
    }
    fs::remove_dir_all(&lab.dir).map_err(LabError::file("remove", &lab.dir))
}

fn take_apart(lab: &Lab, node: &str) -> Result<(), LabError> {
    let namespace = lab.namespace(node);
    if namespace::inode(&namespace).is_none() {
        return Ok(());
    }
    end(&namespace)?;
    nodes::take_apart(lab, node)
}

fn end(namespace: &str) -> Result<(), LabError> {
    namespace::inode(namespace).map_or(Ok(()), processes::end)
}

fn mounts_below(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| Path::new(point).starts_with(dir)).map(str::to_owned).collect()
}
