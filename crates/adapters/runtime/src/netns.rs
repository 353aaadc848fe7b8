//! Network namespaces as files: a mount keeps one alive under a name.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::statfs;

use crate::overlay;

/// What `statfs` answers for a namespace file.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Whether a namespace is mounted on `path`.
pub(crate) fn is_namespace(path: &Path) -> bool {
    #[expect(clippy::useless_conversion, reason = "the type differs between C libraries")]
    statfs(path).is_ok_and(|found| i64::from(found.filesystem_type().0) == NSFS_MAGIC)
}

/// Mounts the namespace `of` on `path`, in place of another one that may be there.
pub(crate) fn keep(of: &Path, path: &Path) -> io::Result<()> {
    if is_namespace(path) {
        if same(of, path)? {
            return Ok(());
        }
        overlay::unmount(path)?;
    }
    File::create(path)?;
    Ok(mount(Some(of), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
}

/// Whether two files are the same namespace.
pub(crate) fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (std::fs::metadata(one)?, std::fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}
