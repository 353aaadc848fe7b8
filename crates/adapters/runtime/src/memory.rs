//! A directory that lies in memory: where the files of secrets are, so that no disk ever holds them.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

/// Room for all secrets of a node.
const SIZE: &str = "size=64m,mode=0700";

/// Makes `dir` a directory in memory that only root may enter; leaves it as it is when it is one already.
///
/// # Errors
/// When it cannot be made or nothing can be mounted there; it takes root.
pub fn open(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    if in_memory(dir)? {
        return Ok(());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // Kernels from 6.4 on can keep it out of swap as well; older ones do not know the word.
    let unswapped = format!("{SIZE},noswap");
    mount(Some("univrs-secrets"), dir, Some("tmpfs"), flags, Some(unswapped.as_str()))
        .or_else(|_| mount(Some("univrs-secrets"), dir, Some("tmpfs"), flags, Some(SIZE)))?;
    Ok(())
}

/// Takes away what [`open`] made, with all that is in it.
///
/// # Errors
/// When the kernel refuses; may be called again.
pub fn close(dir: &Path) -> io::Result<()> {
    // Only what was mounted here: the directory above may be in memory too.
    while is_mount_point(dir)? {
        umount2(dir, MntFlags::MNT_DETACH)?;
    }
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn in_memory(dir: &Path) -> io::Result<bool> {
    Ok(statfs(dir)?.filesystem_type() == TMPFS_MAGIC)
}

fn is_mount_point(dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(own), Some(parent)) = (dir.metadata(), dir.parent()) else { return Ok(false) };
    Ok(own.dev() != parent.metadata()?.dev())
}

#[cfg(test)]
mod tests {
    use super::{close, in_memory, open};

    #[test]
    fn it_is_in_memory_and_goes_without_a_trace() {
        if !nix::unistd::geteuid().is_root() {
            // Mounting takes root; the runtime's tests say so visibly.
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        open(&path).unwrap();
        open(&path).unwrap();
        assert!(in_memory(&path).unwrap());
        std::fs::write(path.join("a"), "canary").unwrap();
        close(&path).unwrap();
        close(&path).unwrap();
        assert!(!path.exists());
    }
}
