//! Where volumes of an engine lie, bounded in size where this machine can do that: the engine binds a directory of ours.
//!
//! ```text
//! <root>/<resource>/<volume>/data      what the containers see
//! ```
//!
//! The directory that is bound lies inside the volume's own file system. After a restart of the machine, until that is
//! mounted again, it is not there, so the engine starts nothing on an empty one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use univrs_model::quantity::Bytes;
use univrs_ports::provider::{ProviderError, ResourceRef};
use univrs_ports::volumes::{VolumeUse, Volumes};

/// The directory inside a volume that is bound.
const INSIDE: &str = "data";

/// What gives volumes of an engine their places.
#[derive(Clone)]
pub struct Places {
    root: PathBuf,
    volumes: Arc<dyn Volumes>,
    /// Whether the engine sees what is mounted here.
    shared: bool,
}

impl Places {
    /// Places below `root`, which is that of `volumes`.
    pub fn new(root: PathBuf, volumes: Arc<dyn Volumes>) -> Self {
        // The engine is a program of the machine: it sees the mounts that its first process sees. Where nobody may look at
        // that one, this is no part of the machine that was set apart.
        let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt"));
        let shared = of("1").map_or(true, |first| of("self").is_ok_and(|own| own == first));
        Self { root, volumes, shared }
    }

    fn path(resource: &ResourceRef, volume: &str) -> PathBuf {
        Path::new(resource.id.as_str()).join(volume)
    }

    /// The directory of a volume, made if it is not there.
    pub(crate) async fn ensure(
        &self,
        resource: &ResourceRef,
        volume: &str,
        size: Option<Bytes>,
    ) -> Result<PathBuf, ProviderError> {
        let path = Self::path(resource, volume);
        // First of all, so that what is cut off here is found again.
        std::fs::create_dir_all(self.root.join(&path)).map_err(|error| self.failed(volume, &error))?;
        let size = size.filter(|_| self.shared);
        let dir = self.volumes.ensure(&path, size).await;
        let dir = dir.map_err(|error| ProviderError::temporary(error.to_string()))?.join(INSIDE);
        std::fs::create_dir_all(&dir).map_err(|error| self.failed(volume, &error))?;
        Ok(dir)
    }

    /// Whether a directory that the engine binds is one of these.
    pub(crate) fn has(&self, dir: &Path) -> bool {
        dir.starts_with(&self.root)
    }

    /// Names of a resource's volumes that have a place.
    pub(crate) fn names(&self, resource: &ResourceRef) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join(resource.id.as_str())).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }

    /// Removes a resource's volumes with all they hold.
    pub(crate) async fn remove(&self, resource: &ResourceRef) -> Result<(), ProviderError> {
        for volume in self.names(resource) {
            let removed = self.volumes.remove(&Self::path(resource, &volume)).await;
            removed.map_err(|error| ProviderError::temporary(error.to_string()))?;
        }
        match std::fs::remove_dir(self.root.join(resource.id.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed(resource.id.as_str(), &error))
            }
            _ => Ok(()),
        }
    }

    /// How full a volume is; absent where that cannot be seen.
    pub(crate) async fn usage(&self, resource: &ResourceRef, volume: &str) -> Option<VolumeUse> {
        self.volumes.usage(&Self::path(resource, volume), true).await.ok()
    }

    fn failed(&self, what: &str, error: &io::Error) -> ProviderError {
        ProviderError::temporary(format!("the directory of {what} in {}: {error}", self.root.display()))
    }
}
