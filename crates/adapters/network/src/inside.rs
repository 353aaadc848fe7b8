//! Work inside another network namespace: a thread of its own enters it, works and ends, so no thread that
//! serves anything else ever changes place.

use std::fs::File;
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use univrs_ports::network::NetworkError;

use crate::links::{Inner, Links, failed};

/// The namespace behind a file; `None` when there is none: no file, or a plain file left after a reboot.
pub(crate) fn open_netns(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    fstatfs(&file).ok().filter(|kind| kind.filesystem_type() == NSFS_MAGIC)?;
    Some(file)
}

/// Sets up the instance's end of its link. False when the link is not there.
pub(crate) fn configure(netns: &File, inner: Inner) -> Result<bool, NetworkError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("univrs-netns".to_owned());
        let work = thread
            .spawn_scoped(scope, || {
                setns(netns, CloneFlags::CLONE_NEWNET)
                    .map_err(|error| failed("enter the namespace of the instance", error))?;
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_io()
                    .build()
                    .map_err(|error| failed("start a runtime for the namespace", error))?;
                runtime.block_on(async {
                    let (links, connection) = Links::open()?;
                    let listening = tokio::spawn(connection);
                    let result = links.configure_inner(&inner).await;
                    listening.abort();
                    result
                })
            })
            .map_err(|error| failed("start a thread for the namespace", error))?;
        work.join()
            .unwrap_or_else(|_| Err(failed("work in the namespace of the instance", "the thread died")))
    })
}
