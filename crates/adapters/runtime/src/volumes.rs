//! Volumes with a size: a sparse file with an ext4 file system in it, on a loop device, mounted where the volume lies.
//!
//! A full volume says so to those who write into it (`ENOSPC`) and takes nothing from others. The file lies beside the
//! directories, under `.sized`, and outlives its mount: after a restart of the machine it is mounted again when an
//! instance needs it. The kernel takes the loop device away with the mount, so nothing is left when that goes.
//!
//! A volume without a size, one whose directory held something before, and every one on a machine that lacks what this
//! needs is a plain directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::statvfs;
use univrs_model::quantity::Bytes;
use univrs_ports::volumes::{VolumeError, VolumeUse, Volumes, counted, remove_directory};

use crate::sys;

/// Where the files lie; no organisation has such a name.
const FILES: &str = ".sized";
/// The least that a file system of this kind is of any use in.
const LEAST: u64 = 16 << 20;
/// From this size on the journal's size is said: by itself it would grow with the file system.
const LARGE: u64 = 1 << 30;
/// How often a loop device is looked for: another program may take the one that was free.
const ATTEMPTS: usize = 32;

/// The volumes of a node.
#[derive(Clone, Debug)]
pub struct SizedVolumes {
    root: PathBuf,
    /// What makes file systems; absent where sizes cannot be enforced.
    mkfs: Option<PathBuf>,
    /// One change at a time: two instances may name one volume.
    turn: Arc<Mutex<()>>,
}

impl SizedVolumes {
    /// The volumes below `root`. Says in the log why sizes cannot be enforced, where they cannot.
    pub fn new(root: PathBuf) -> Self {
        let mkfs = find("mkfs.ext4");
        let lacks = match &mkfs {
            None => Some("there is no mkfs.ext4; install e2fsprogs"),
            Some(_) if !nix::unistd::geteuid().is_root() => Some("it takes root"),
            Some(_) if File::open("/dev/loop-control").is_err() => Some("there are no loop devices"),
            Some(_) => None,
        };
        if let Some(reason) = lacks {
            tracing::warn!(reason, "sizes of volumes are not enforced");
        }
        Self { root, mkfs: mkfs.filter(|_| lacks.is_none()), turn: Arc::default() }
    }

    fn image(&self, path: &Path) -> PathBuf {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        self.root.join(FILES).join(parts.join(".") + ".ext4")
    }

    fn ensure_now(&self, path: &Path, size: Option<Bytes>) -> io::Result<PathBuf> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (dir, image) = (self.root.join(path), self.image(path));
        let wanted = size.map(|size| size.get().max(LEAST).next_multiple_of(4096));
        if !image.exists() {
            let empty = std::fs::read_dir(&dir).map_or(true, |mut entries| entries.next().is_none());
            let (Some(wanted), Some(mkfs), true) = (wanted, &self.mkfs, empty) else {
                std::fs::create_dir_all(&dir)?;
                return Ok(dir);
            };
            make(mkfs, &image, wanted)?;
        }
        std::fs::create_dir_all(&dir)?;
        if !is_mount_point(&dir)? {
            attach(&image, &dir)?;
            // What holds files that were damaged is made by the check itself when it is needed; a server that is
            // started in its volume wants to find it empty.
            drop(std::fs::remove_dir(dir.join("lost+found")));
        }
        if let Some(wanted) = wanted.filter(|wanted| image.metadata().is_ok_and(|meta| meta.len() < *wanted))
        {
            grow(&image, &dir, wanted).or_else(|online| grow_unused(&image, &dir, wanted, &online))?;
        }
        Ok(dir)
    }

    fn remove_now(&self, path: &Path) -> Result<(), VolumeError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (dir, image) = (self.root.join(path), self.image(path));
        let failed =
            |error: io::Error| VolumeError { path: dir.clone(), doing: "remove", reason: error.to_string() };
        detach(&dir).map_err(failed)?;
        match std::fs::remove_file(&image) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        // The last one takes the folder with it.
        drop(std::fs::remove_dir(self.root.join(FILES)));
        remove_directory(&self.root, path)
    }
}

/// Takes the mounts of all volumes below `root` away, and with them their loop devices; what they hold stays.
///
/// # Errors
/// When the kernel refuses.
pub fn release(root: &Path) -> io::Result<()> {
    let Ok(root) = root.canonicalize() else { return Ok(()) };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let below = mounts.lines().filter_map(|line| mount_of(line).map(|(point, _)| point));
    for point in below.filter(|point| point.starts_with(&root)) {
        detach(&point)?;
    }
    Ok(())
}

/// Where a line of the kernel's table of mounts says that something is mounted, and from what.
fn mount_of(line: &str) -> Option<(PathBuf, &str)> {
    let (mount, kind) = line.split_once(" - ")?;
    // Blanks and the like are written as octal numbers.
    let point = mount.split(' ').nth(4)?.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    Some((point.into(), kind.split(' ').nth(1)?))
}

fn find(program: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"];
    folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it did not say why").to_owned();
    Err(io::Error::other(format!("{}: {said}", command.get_program().display())))
}

/// Makes a file system in a new sparse file. Tables and journal are cleared when they are used: it takes the same few
/// milliseconds and blocks whatever the size. The file has its name only when it is whole.
fn make(mkfs: &Path, image: &Path, size: u64) -> io::Result<()> {
    image.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let new = image.with_extension("new");
    OpenOptions::new().write(true).create(true).truncate(true).open(&new)?.set_len(size)?;
    let mut command = Command::new(mkfs);
    command.args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"]);
    if size >= LARGE {
        command.args(["-J", "size=32"]);
    }
    let made = run(command.arg(&new)).and_then(|()| std::fs::rename(&new, image));
    if made.is_err() {
        drop(std::fs::remove_file(&new));
    }
    made
}

fn is_mount_point(dir: &Path) -> io::Result<bool> {
    let Some(parent) = dir.parent() else { return Ok(false) };
    Ok(dir.metadata()?.dev() != parent.metadata()?.dev())
}

fn attach(image: &Path, dir: &Path) -> io::Result<()> {
    // A file that is behind a device already, for a mount that this process does not see, must not get another: two
    // file systems on one file destroy it. The same device twice is one file system.
    if let Some(path) = device_of(image)? {
        return mounted(&path, dir);
    }
    let file = OpenOptions::new().read(true).write(true).open(image)?;
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    let mut tried = Ok(());
    for _ in 0..ATTEMPTS {
        let number = sys::free_loop(control.as_fd())?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(device) => device,
            // Where nobody makes files for new devices.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                use nix::sys::stat::{Mode, SFlag, makedev, mknod};
                // Opening it says whether that went well.
                let _ = mknod(&path, SFlag::S_IFBLK, Mode::from_bits_truncate(0o660), makedev(7, number));
                OpenOptions::new().read(true).write(true).open(&path)?
            }
            Err(error) => return Err(error),
        };
        match sys::configure_loop(device.as_fd(), file.as_fd()) {
            Ok(()) => {
                // The device is let go with the mount, or with this one of its users when there is none.
                return mounted(&path, dir);
            }
            Err(nix::errno::Errno::EBUSY) => tried = Err(io::Error::from(nix::errno::Errno::EBUSY)),
            Err(error) => return Err(error.into()),
        }
    }
    tried
}

fn mounted(device: &Path, dir: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
    // No thread of the kernel goes through tables that nobody uses yet; what is removed frees the disk.
    mount(Some(device), dir, Some("ext4"), flags, Some("noinit_itable,discard")).map_err(io::Error::from)
}

/// The loop device that a file is behind, if it is behind one.
fn device_of(image: &Path) -> io::Result<Option<PathBuf>> {
    let image = image.canonicalize()?;
    let Ok(devices) = std::fs::read_dir("/sys/block") else { return Ok(None) };
    Ok(devices.flatten().find_map(|device| {
        let file = std::fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
        (Path::new(file.trim_end_matches('\n')) == image).then(|| Path::new("/dev").join(device.file_name()))
    }))
}

/// Takes a mount away; where nothing is mounted nothing happens.
fn detach(dir: &Path) -> io::Result<()> {
    while dir.exists() && is_mount_point(dir)? {
        // Whoever still has a file open keeps it until it is closed.
        umount2(dir, MntFlags::empty()).or_else(|_| umount2(dir, MntFlags::MNT_DETACH))?;
    }
    Ok(())
}

/// Makes a mounted file system larger.
fn grow(image: &Path, dir: &Path, size: u64) -> io::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let dir = dir.canonicalize()?;
    let device = mounts.lines().filter_map(mount_of).rfind(|(point, _)| *point == dir);
    let Some((_, device)) = device else { return Err(io::Error::other("it is not mounted")) };
    let resize =
        find("resize2fs").ok_or_else(|| io::Error::other("there is no resize2fs; install e2fsprogs"))?;
    let before = image.metadata()?.len();
    let file = OpenOptions::new().write(true).open(image)?;
    file.set_len(size)?;
    let grown = sys::resize_loop(OpenOptions::new().read(true).open(device)?.as_fd())
        .map_err(io::Error::from)
        .and_then(|()| run(Command::new(resize).arg(device)));
    if grown.is_err() {
        // So that it is tried again: the file's size says what was done.
        drop(file.set_len(before));
    }
    grown
}

/// Makes a file system larger that nobody uses, where the kernel does not let this process grow it in use (it wants
/// CAP_SYS_RESOURCE, which not every container of a node has). It is mounted again whatever happens.
fn grow_unused(image: &Path, dir: &Path, size: u64, online: &io::Error) -> io::Result<()> {
    let tool = |name: &str| {
        find(name).ok_or_else(|| io::Error::other(format!("there is no {name}; install e2fsprogs")))
    };
    let (check, resize) = (tool("e2fsck")?, tool("resize2fs")?);
    umount2(dir, MntFlags::empty())?;
    if device_of(image)?.is_some() {
        attach(image, dir)?;
        let reason = format!("{online}; it grows when the containers that use it have ended");
        return Err(io::Error::other(reason));
    }
    let before = image.metadata()?.len();
    let grown = OpenOptions::new()
        .write(true)
        .open(image)
        .and_then(|file| file.set_len(size))
        .and_then(|()| checked(Command::new(check).args(["-f", "-p"]).arg(image)))
        .and_then(|()| run(Command::new(resize).arg(image)));
    if grown.is_err() {
        // So that it is tried again: the file's size says what was done.
        drop(OpenOptions::new().write(true).open(image).and_then(|file| file.set_len(before)));
    }
    attach(image, dir)?;
    // The check makes it when it is not there.
    drop(std::fs::remove_dir(dir.join("lost+found")));
    grown
}

/// Runs e2fsck: that it mended something is no failure; see e2fsck(8), "Exit code".
fn checked(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.code() {
        Some(0 | 1) => Ok(()),
        _ => {
            let said = String::from_utf8_lossy(&output.stdout);
            let said = said.lines().last().unwrap_or("it did not say why").to_owned();
            Err(io::Error::other(format!("{}: {said}", command.get_program().display())))
        }
    }
}

async fn off_thread<T: Send + 'static>(
    path: &Path,
    doing: &'static str,
    work: impl FnOnce() -> Result<T, VolumeError> + Send + 'static,
) -> Result<T, VolumeError> {
    let failed = |reason: String| VolumeError { path: path.to_owned(), doing, reason };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(failed(error.to_string())))
}

#[async_trait]
impl Volumes for SizedVolumes {
    async fn ensure(&self, path: &Path, size: Option<Bytes>) -> Result<PathBuf, VolumeError> {
        let (own, at) = (self.clone(), path.to_owned());
        let work = move || {
            own.ensure_now(&at, size).map_err(|error| VolumeError {
                path: own.root.join(&at),
                doing: "make",
                reason: error.to_string(),
            })
        };
        off_thread(path, "make", work).await
    }

    async fn remove(&self, path: &Path) -> Result<(), VolumeError> {
        let (own, at) = (self.clone(), path.to_owned());
        off_thread(path, "remove", move || own.remove_now(&at)).await
    }

    async fn usage(&self, path: &Path, count: bool) -> Result<VolumeUse, VolumeError> {
        let (dir, image) = (self.root.join(path), self.image(path));
        let work = move || {
            let failed = |error: io::Error| VolumeError {
                path: dir.clone(),
                doing: "look at",
                reason: error.to_string(),
            };
            if !image.exists() || !is_mount_point(&dir).map_err(failed)? {
                return Ok(VolumeUse { used: if count { counted(&dir) } else { 0 }, capacity: None });
            }
            let seen = statvfs(&dir).map_err(|error| failed(error.into()))?;
            let capacity = seen.blocks() * seen.fragment_size();
            Ok(VolumeUse {
                used: capacity.saturating_sub(seen.blocks_available() * seen.fragment_size()),
                capacity: Some(capacity),
            })
        };
        off_thread(path, "look at", work).await
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use univrs_model::quantity::Bytes;
    use univrs_ports::volumes::Volumes;

    use super::{SizedVolumes, is_mount_point, release};

    /// The loop devices whose files lie below a directory.
    fn loops(root: &Path) -> Vec<String> {
        let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
        let files = devices
            .filter_map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")).ok());
        files.filter(|file| file.starts_with(&*root.to_string_lossy())).collect()
    }

    /// Waits until the kernel has let go of the devices, which it does after the last who looks at them.
    fn no_loops(root: &Path) {
        let begun = std::time::Instant::now();
        while !loops(root).is_empty() {
            assert!(begun.elapsed().as_secs() < 120, "{:?}", loops(root));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Takes the mounts away when a test fails too.
    struct Released(tempfile::TempDir);

    impl Drop for Released {
        fn drop(&mut self) {
            drop(release(self.0.path()));
        }
    }

    #[tokio::test]
    async fn a_full_volume_is_full_grows_and_goes_without_a_trace() {
        let kept = Released(tempfile::tempdir().unwrap());
        let root = kept.0.path().canonicalize().unwrap();
        let volumes = SizedVolumes::new(root.clone());
        if volumes.mkfs.is_none() {
            return eprintln!("SKIPPED without root, loop devices or mkfs.ext4: sizes of volumes");
        }
        let path = Path::new("acme/db/data/0");
        let dir = volumes.ensure(path, Some(Bytes::mebibytes(32))).await.unwrap();
        assert_eq!(volumes.ensure(path, Some(Bytes::mebibytes(32))).await.unwrap(), dir);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "a server finds it empty");
        let fill = |name: &str, mebibytes: usize| {
            let mut file = std::fs::File::create(dir.join(name))?;
            (0..mebibytes).try_for_each(|_| file.write_all(&[7; 1 << 20]))
        };
        let full = fill("large", 40).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        let seen = volumes.usage(path, false).await.unwrap();
        assert!(
            seen.capacity.unwrap() > 20 << 20 && seen.used * 100 > seen.capacity.unwrap() * 95,
            "{seen:?}"
        );

        std::fs::remove_file(dir.join("large")).unwrap();
        volumes.ensure(path, Some(Bytes::mebibytes(96))).await.unwrap();
        fill("larger", 60).unwrap();

        // As after a restart of the machine: the file is there, the mount is not.
        release(&root).unwrap();
        assert!(!is_mount_point(&dir).unwrap());
        no_loops(&root);
        let again = SizedVolumes::new(root.clone());
        again.ensure(path, Some(Bytes::mebibytes(96))).await.unwrap();
        assert_eq!(std::fs::metadata(dir.join("larger")).unwrap().len(), 60 << 20);

        again.remove(path).await.unwrap();
        again.remove(path).await.unwrap();
        no_loops(&root);
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "nothing of it is left");
    }

    #[tokio::test]
    async fn directories_that_hold_something_stay_directories() {
        let kept = Released(tempfile::tempdir().unwrap());
        let root = kept.0.path().canonicalize().unwrap();
        let volumes = SizedVolumes::new(root.clone());
        let path = Path::new("acme/db/old/0");
        std::fs::create_dir_all(root.join(path)).unwrap();
        std::fs::write(root.join(path).join("rows"), "here").unwrap();
        let dir = volumes.ensure(path, Some(Bytes::mebibytes(32))).await.unwrap();
        assert!(!is_mount_point(&dir).unwrap());
        let seen = volumes.usage(path, true).await.unwrap();
        assert!(seen.capacity.is_none() && seen.used >= 512, "{seen:?}");
        let unsized_one = volumes.ensure(Path::new("acme/db/free/0"), None).await.unwrap();
        assert!(!is_mount_point(&unsized_one).unwrap());
        volumes.remove(path).await.unwrap();
        assert!(!dir.exists());
    }
}
