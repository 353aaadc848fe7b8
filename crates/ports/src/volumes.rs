//! Where a node keeps volumes: directories, bounded in size where that is possible.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use univrs_model::quantity::Bytes;

/// What can go wrong with a volume.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} volume {}: {reason}", path.display())]
pub struct VolumeError {
    /// Where it lies.
    pub path: PathBuf,
    /// What was being done.
    pub doing: &'static str,
    /// What happened.
    pub reason: String,
}

/// How full a volume is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeUse {
    /// Bytes in use.
    pub used: u64,
    /// Bytes that fit, where more is refused.
    pub capacity: Option<u64>,
}

/// The volumes of a node. Paths are below its directory of volumes. All calls may be repeated.
#[async_trait]
pub trait Volumes: Send + Sync + 'static {
    /// Makes a volume, or gives one that is there its size if that has grown. What is there keeps its data and its kind:
    /// a plain directory stays one, and nothing shrinks. Answers its directory.
    ///
    /// # Errors
    /// When it cannot be made; nothing is left of it then.
    async fn ensure(&self, path: &Path, size: Option<Bytes>) -> Result<PathBuf, VolumeError>;

    /// Removes a volume with all it holds; one that is not there is fine.
    ///
    /// # Errors
    /// When something of it is left.
    async fn remove(&self, path: &Path) -> Result<(), VolumeError>;

    /// How full a volume is. With `count`, what a plain directory holds is counted, up to a bound; else it is 0.
    ///
    /// # Errors
    /// When it is not there.
    async fn usage(&self, path: &Path, count: bool) -> Result<VolumeUse, VolumeError>;
}

/// Volumes that are plain directories: nothing bounds them.
#[derive(Clone, Debug)]
pub struct PlainVolumes {
    /// The directory of volumes.
    pub root: PathBuf,
}

fn failed(path: &Path, doing: &'static str) -> impl Fn(std::io::Error) -> VolumeError {
    let path = path.to_owned();
    move |error| VolumeError { path: path.clone(), doing, reason: error.to_string() }
}

/// Removes a volume's directory and the directories around it that hold nothing else.
///
/// # Errors
/// When something of it is left.
pub fn remove_directory(root: &Path, path: &Path) -> Result<(), VolumeError> {
    let dir = root.join(path);
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(&dir, "remove")(error));
        }
        _ => {}
    }
    // The directories around it go with the last volume in them; one that is not empty stays.
    for around in dir.ancestors().skip(1).take_while(|around| *around != root) {
        if std::fs::remove_dir(around).is_err() {
            break;
        }
    }
    Ok(())
}

/// How many entries of a directory are counted at most.
const ENTRIES: usize = 50_000;

/// Bytes that a directory's files take on disk, of at most so many entries.
pub fn counted(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut sum = 0_u64;
    let mut left = ENTRIES;
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        // What goes meanwhile is not counted.
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries.flatten() {
            if left == 0 {
                return sum;
            }
            left -= 1;
            let Ok(meta) = entry.metadata() else { continue };
            sum = sum.saturating_add(meta.blocks().saturating_mul(512));
            if meta.is_dir() {
                open.push(entry.path());
            }
        }
    }
    sum
}

/// Runs file work off the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VolumeError> + Send + 'static,
) -> Result<T, VolumeError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(VolumeError { path: PathBuf::new(), doing: "work on", reason: error.to_string() })
    })
}

#[async_trait]
impl Volumes for PlainVolumes {
    async fn ensure(&self, path: &Path, _: Option<Bytes>) -> Result<PathBuf, VolumeError> {
        let dir = self.root.join(path);
        std::fs::create_dir_all(&dir).map_err(failed(&dir, "make"))?;
        Ok(dir)
    }

    async fn remove(&self, path: &Path) -> Result<(), VolumeError> {
        let (root, path) = (self.root.clone(), path.to_owned());
        blocking(move || remove_directory(&root, &path)).await
    }

    async fn usage(&self, path: &Path, count: bool) -> Result<VolumeUse, VolumeError> {
        let dir = self.root.join(path);
        blocking(move || Ok(VolumeUse { used: if count { counted(&dir) } else { 0 }, capacity: None })).await
    }
}
