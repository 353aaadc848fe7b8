//! What real containers run on: without a daemon, or in a Docker Engine that this machine has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use univrs_image::ImageStore;
use univrs_model::node::RuntimeKind;
use univrs_ports::runtime::{Runtime, RuntimeError};
use univrs_runtime::docker::{DEFAULT_SOCKET, DockerOptions, DockerRuntime};
use univrs_runtime::oci::{OciOptions, OciRuntime};

use crate::failure::Failure;
use crate::identity::{DataDir, Identity};

/// What a node is asked to run containers on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Without a daemon.
    Oci,
    /// In a Docker Engine.
    Docker,
    /// Nowhere.
    Simulated,
    /// Where its containers are already; else without a daemon, and where that cannot be, in a Docker Engine.
    Any,
}

/// Opens what is wanted. A node's containers are in one runtime: another one would run them a second time.
pub(super) async fn open(
    wanted: Wanted,
    dir: &DataDir,
    identity: &mut Identity,
    images: &Arc<ImageStore>,
) -> Result<Arc<dyn Runtime>, Failure> {
    let had = match (&identity.docker, dir.containers().exists()) {
        (Some(_), _) => Some(RuntimeKind::Docker),
        (None, true) => Some(RuntimeKind::Oci),
        (None, false) => None,
    };
    match (wanted, had) {
        (Wanted::Oci, Some(had @ RuntimeKind::Docker)) | (Wanted::Docker, Some(had @ RuntimeKind::Oci)) => {
            Err(Failure::OtherRuntime { had })
        }
        (Wanted::Docker, _) | (Wanted::Any, Some(RuntimeKind::Docker)) => {
            open_docker(dir, identity, images).await
        }
        (Wanted::Any, None) => match open_oci(dir, identity) {
            Err(oci @ Failure::Runtime(RuntimeError::Unusable { .. })) => {
                tracing::warn!(
                    reason = oci.explain(),
                    "the oci runtime cannot be used here; looking for Docker"
                );
                // Without Docker, what the preferred runtime lacks is what matters.
                open_docker(dir, identity, images).await.map_err(|docker| {
                    tracing::warn!(reason = docker.explain(), "nor can Docker");
                    oci
                })
            }
            opened => opened,
        },
        (Wanted::Oci | Wanted::Any | Wanted::Simulated, _) => open_oci(dir, identity),
    }
}

fn open_oci(dir: &DataDir, identity: &Identity) -> Result<Arc<dyn Runtime>, Failure> {
    let options = OciOptions::new(identity.node.clone(), dir.run_dir(&identity.node), dir.containers());
    Ok(Arc::new(OciRuntime::new(options)?))
}

async fn open_docker(
    dir: &DataDir,
    identity: &mut Identity,
    images: &Arc<ImageStore>,
) -> Result<Arc<dyn Runtime>, Failure> {
    // Where its containers are is not changed by an environment variable.
    let socket = match &identity.docker {
        Some(socket) => socket.clone(),
        None => socket(std::env::var("DOCKER_HOST").ok().as_deref())?,
    };
    let runtime = connect(dir, identity, &socket, images).await?;
    if identity.docker.is_none() {
        // Before anything is made, so that it is found again.
        identity.docker = Some(socket.clone());
        dir.write_identity(identity)?;
    }
    tracing::info!(socket = %socket.display(), "containers run in Docker");
    Ok(Arc::new(runtime))
}

/// Connects to the engine in which the node's containers are.
pub(crate) async fn connect(
    dir: &DataDir,
    identity: &Identity,
    socket: &Path,
    images: &Arc<ImageStore>,
) -> Result<DockerRuntime, Failure> {
    let options = DockerOptions {
        node: identity.node.clone(),
        run_dir: dir.run_dir(&identity.node),
        socket: socket.to_owned(),
        images: images.clone(),
    };
    Ok(DockerRuntime::connect(options).await?)
}

/// The engine that resources may be made in: that of the node's containers, or the one that `DOCKER_HOST` names.
pub(super) fn engine_of_resources(identity: &Identity) -> Result<PathBuf, Failure> {
    match &identity.docker {
        Some(socket) => Ok(socket.clone()),
        None => socket(std::env::var("DOCKER_HOST").ok().as_deref()),
    }
}

/// The engine's socket as `DOCKER_HOST` gives it.
fn socket(host: Option<&str>) -> Result<PathBuf, Failure> {
    let Some(host) = host.filter(|host| !host.is_empty()) else { return Ok(DEFAULT_SOCKET.into()) };
    match host.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(path.into()),
        Some(_) | None => Err(Failure::DockerHost { value: host.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::socket;
    use crate::failure::Failure;

    #[test]
    fn the_engine_is_on_this_machine() {
        assert_eq!(socket(None).unwrap(), Path::new("/var/run/docker.sock"));
        assert_eq!(socket(Some("unix:///tmp/d.sock")).unwrap(), Path::new("/tmp/d.sock"));
        for other in ["tcp://10.0.0.1:2375", "unix://d.sock", "ssh://box"] {
            assert!(matches!(socket(Some(other)), Err(Failure::DockerHost { value }) if value == other));
        }
    }
}
