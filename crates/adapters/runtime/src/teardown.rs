//! Taking a container apart. Everything here may be repeated and may find nothing to do, so that a shim that ends,
//! a start that replaces, and a node that is emptied all use it.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::cgroup::Cgroups;
use crate::{layout, overlay};

/// Releases what an ended container holds: its control group, its mount, the library's state. Records stay.
pub(crate) fn release(dir: &Path, cgroups: &Cgroups, group: &str, patience: Duration) -> Result<(), String> {
    let gone = cgroups.remove(group, patience);
    overlay::unmount(&dir.join(layout::ROOTFS)).map_err(|error| format!("unmount its files: {error}"))?;
    remove_dir(&dir.join(layout::LIBRARY)).map_err(|error| format!("remove its state: {error}"))?;
    if gone { Ok(()) } else { Err(format!("control group {group} is still busy")) }
}

/// Removes a directory and all below it; one that is not there is fine.
pub(crate) fn remove_dir(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
