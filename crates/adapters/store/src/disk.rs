//! The few file operations that durability depends on, and room on the disk as an injected port.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use univrs_ports::store::{Error, Result};

/// Turns a system error into the store's, with what was tried on which file.
pub(crate) fn io_error(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
    let path: PathBuf = path.as_ref().to_owned();
    move |source| Error::Io { action, path, source }
}

/// Makes a created, renamed or removed name durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))
}

/// Makes the name of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        // A name without a folder is in the current one.
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Replaces a small file so that a crash leaves the old or the new content.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, content).map_err(io_error("write", &temporary))?;
    File::open(&temporary).and_then(|file| file.sync_all()).map_err(io_error("sync", &temporary))?;
    fs::rename(&temporary, path).map_err(io_error("rename", &temporary))?;
    sync_parent(path)
}

/// Whether an error means that the disk, or the quota, is exhausted.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The same error for one more of those who wait.
pub(crate) fn copy_of(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// Room on the disk for the log. Injected, so that tests can run out of it.
pub trait Space: Send + Sync + 'static {
    /// Reserves the bytes `offset .. offset + length` of a file without changing its length. Fails with
    /// [`io::ErrorKind::StorageFull`] when there is no room.
    fn reserve(&self, file: &File, offset: u64, length: u64) -> io::Result<()>;
}

/// Reserves with the file system's own means; where it has none, nothing is reserved and a full disk shows
/// only when it is written to.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystemSpace;

impl Space for FileSystemSpace {
    fn reserve(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let (offset, length) =
            (i64::try_from(offset).map_err(too_large)?, i64::try_from(length).map_err(too_large)?);
        match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length) {
            Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => Ok(()),
            other => other.map_err(io::Error::from),
        }
    }
}
