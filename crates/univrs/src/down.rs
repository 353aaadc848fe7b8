//! `univrs down`: stops the daemon of a data directory and removes everything its node made on this machine.
//!
//! Containers, namespaces, mounts, links, cgroups and packet rules go. The replicated state, images and volumes
//! stay: the next `up` starts the same workloads again.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use univrs_cli::DownArgs;
use univrs_image::ImageStore;
use univrs_network::NodeNetwork;
use univrs_ports::runtime::Runtime;
use univrs_runtime::oci::{OciOptions, OciRuntime};

use crate::failure::Failure;
use crate::identity::{DataDir, Held, Identity};
use crate::up::containers;

/// How long the daemon may take to stop.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn run(args: DownArgs) -> Result<(), Failure> {
    let dir = DataDir::new(args.data_dir());
    let Some(identity) = dir.read_identity()? else {
        say(&format!("nothing to remove: {} holds no node", dir.root().display()));
        return Ok(());
    };
    let held = stop_daemon(&dir).await?;
    remove(&dir, &identity).await?;
    drop(held);
    say(&format!(
        "removed all that node {} made here; its state, images and volumes stay in {}",
        identity.node,
        dir.root().display()
    ));
    Ok(())
}

/// Removes what the node made in the kernel, in Docker and in its run directory.
pub(crate) async fn remove(dir: &DataDir, identity: &Identity) -> Result<(), Failure> {
    let is_root = nix::unistd::geteuid().is_root();
    if let Some(socket) = &identity.docker {
        let images = Arc::new(ImageStore::open(&dir.images(), univrs_image::Options::default())?);
        containers::connect(dir, identity, socket, &images).await?.purge().await?;
        // From here on it may take another runtime.
        dir.write_identity(&Identity { docker: None, ..identity.clone() })?;
    }
    if dir.containers().exists() && is_root {
        let options = OciOptions::new(identity.node.clone(), dir.run_dir(&identity.node), dir.containers());
        OciRuntime::new(options)?.purge().await?;
    }
    if dir.network().exists() && is_root {
        NodeNetwork::purge_node(&identity.node, &dir.network()).await?;
    }
    if is_root {
        let path = dir.secrets(&identity.node);
        univrs_runtime::memory::close(&path).map_err(|source| Failure::File {
            doing: "remove",
            path,
            source,
        })?;
    }
    if is_root {
        // What they hold stays; only the mounts and their loop devices go.
        // Those of resources in an engine stay as they are: containers there start again without this node.
        let path = dir.volumes();
        univrs_runtime::volumes::release(&path).map_err(|source| Failure::File {
            doing: "unmount volumes in",
            path,
            source,
        })?;
    }
    for leftover in [dir.instances(), dir.run_dir(&identity.node)] {
        match std::fs::remove_dir_all(&leftover) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Failure::File { doing: "remove", path: leftover, source }),
        }
    }
    Ok(())
}

/// Asks a running daemon to stop and waits until it has let go of the directory.
async fn stop_daemon(dir: &DataDir) -> Result<Held, Failure> {
    let begun = tokio::time::Instant::now();
    let mut asked = None;
    loop {
        match dir.take() {
            Ok(held) => return Ok(held),
            Err(Failure::AlreadyRunning { pid: Some(pid), path }) => {
                if asked != Some(pid) {
                    say(&format!("stopping the daemon (process {pid})"));
                    if kill(Pid::from_raw(pid), Signal::SIGTERM).is_err() {
                        return Err(Failure::AlreadyRunning { path, pid: Some(pid) });
                    }
                    asked = Some(pid);
                }
                if begun.elapsed() > PATIENCE {
                    return Err(Failure::DoesNotStop { pid, seconds: PATIENCE.as_secs() });
                }
            }
            Err(other) => return Err(other),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn say(text: &str) {
    // Talk goes to standard error; without it the work is the same.
    drop(writeln!(std::io::stderr(), "{text}"));
}
