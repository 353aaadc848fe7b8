//! A container's file system: the image's layers with a writable one on top.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::layout;

/// Mounts `layers` (base first) with a fresh writable layer under `data` on `rootfs` in the current directory.
///
/// The kernel takes at most one page of options. So the layers get short names, links in the current directory;
/// which is why only a shim may call this.
pub(crate) fn mount_layers(layers: &[impl AsRef<Path>], data: &Path) -> io::Result<()> {
    let (upper, work) = (data.join("upper"), data.join("work"));
    for dir in [&upper, &work] {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir)?;
    }
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o755))?;
    fs::create_dir_all("l")?;
    link(&upper, Path::new("u"))?;
    link(&work, Path::new("w"))?;
    let mut names = Vec::with_capacity(layers.len());
    for (number, layer) in layers.iter().enumerate() {
        let layer = layer.as_ref();
        if !layer.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("layer {} is missing", layer.display()),
            ));
        }
        let name = format!("l/{number}");
        link(layer, Path::new(&name))?;
        names.push(name);
    }
    if names.is_empty() {
        fs::create_dir_all("l/none")?;
        names.push("l/none".to_owned());
    }
    names.reverse();
    let options = format!("lowerdir={},upperdir=u,workdir=w", names.join(":"));
    fs::create_dir_all(layout::ROOTFS)?;
    mount(Some("overlay"), layout::ROOTFS, Some("overlay"), MsFlags::MS_NODEV, Some(options.as_str()))?;
    Ok(())
}

/// Unmounts whatever is mounted on `path`, also when it is in use.
pub(crate) fn unmount(path: &Path) -> io::Result<()> {
    // Something may have been mounted there twice by a start that was cut off.
    for _ in 0..8 {
        match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(nix::Error::EINVAL | nix::Error::ENOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other(format!("{} stays mounted", path.display())))
}

fn link(target: &Path, name: &Path) -> io::Result<()> {
    match fs::remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(target, name)
}
