//! A directory being filled from an untrusted stream.
//!
//! Parents are opened with `openat2(RESOLVE_BENEATH)`: links inside the tree are followed, anything that would leave it
//! is refused by the kernel. The last part of a name is only ever used with calls that do not follow links.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, fstatat, mkdirat, mknodat, utimensat,
};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, syncfs, unlinkat};
use xattr::FileExt;

use super::Fault;

/// Up to this many files are forced to disk one by one; more of them with the whole file system.
const FEW_FILES: usize = 64;

/// What a file is besides its content.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Attributes {
    /// Takes an extended attribute over, unless it means something to this machine rather than to the image.
    pub(super) fn add_xattr(&mut self, name: &str, value: &[u8], path: &Path) -> Result<(), Fault> {
        if name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") {
            return Err(Fault::Malformed(format!("`{}` has the attribute {name}", path.display())));
        }
        let foreign = name.starts_with("trusted.") || name.starts_with("security.");
        if !foreign || name == "security.capability" {
            self.xattrs.push((name.into(), value.to_owned()));
        }
        Ok(())
    }
}

/// What is neither file nor directory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node<'a> {
    Symlink(&'a OsStr),
    Char(u64),
    Block(u64),
    Fifo,
}

pub(super) struct Tree {
    path: PathBuf,
    root: OwnedFd,
    privileged: bool,
    durable: bool,
    files: usize,
    /// The parent of the entry before, since neighbours follow each other.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Directories get their attributes at the end, inner ones first: filling them changes their times, and they may
    /// be read-only.
    directories: BTreeMap<PathBuf, Attributes>,
}

impl Tree {
    pub(super) fn open(path: &Path, durable: bool) -> Result<Self, Fault> {
        let root = File::options().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(path).map_err(
            |source| Fault::Storage { path: path.to_owned(), doing: "opening a directory", source },
        )?;
        let open = OpenHow::new().flags(OFlag::O_PATH);
        openat2(&root, ".", open).map_err(|errno| Fault::Storage {
            path: path.to_owned(),
            doing: "using openat2, which needs Linux 5.6",
            source: errno.into(),
        })?;
        let mut tree = Self {
            path: path.to_owned(),
            root: root.into(),
            privileged: Uid::effective().is_root(),
            durable,
            files: 0,
            last: None,
            directories: BTreeMap::new(),
        };
        let plain = Attributes { mode: 0o755, uid: 0, gid: 0, modified: (0, 0), xattrs: Vec::new() };
        tree.root(plain);
        Ok(tree)
    }

    /// Sets the attributes of the root directory.
    pub(super) fn root(&mut self, attributes: Attributes) {
        self.directories.insert(PathBuf::new(), attributes);
    }

    pub(super) fn file(
        &mut self,
        path: &Path,
        attributes: Attributes,
        mut from: impl Read,
    ) -> Result<(), Fault> {
        let (parent, name) = self.place(path)?;
        self.clear(&parent, path, name)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(&*parent, name, flags, Mode::from_bits_truncate(0o600));
        let mut file = File::from(opened.map_err(self.at(path, "creating a file"))?);
        let mut buffer = vec![0_u8; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).map_err(Fault::reading)?;
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read]).map_err(|error| self.failed(path, "writing a file", error))?;
        }
        self.dress(&parent, path, name, &attributes, false)?;
        self.files += 1;
        if self.durable && self.files <= FEW_FILES {
            file.sync_all().map_err(|error| self.failed(path, "writing a file", error))?;
        }
        Ok(())
    }

    pub(super) fn directory(&mut self, path: &Path, attributes: Attributes) -> Result<(), Fault> {
        let (parent, name) = self.place(path)?;
        let wanted = Mode::from_bits_truncate(0o755);
        match mkdirat(&*parent, name, wanted) {
            Ok(()) => {}
            Err(Errno::EEXIST) => match self.kind(&parent, path, name)? {
                Some(SFlag::S_IFDIR) => {}
                found => {
                    self.clear(&parent, path, name)?;
                    mkdirat(&*parent, name, wanted).map_err(self.at(path, "creating a directory"))?;
                    if found == Some(SFlag::S_IFCHR) {
                        // Hidden and made anew: what lower layers have in it stays hidden.
                        self.opaque(path)?;
                    }
                }
            },
            Err(errno) => return Err(self.at(path, "creating a directory")(errno)),
        }
        self.directories.insert(path.to_owned(), attributes);
        Ok(())
    }

    pub(super) fn node(&mut self, path: &Path, attributes: Attributes, node: Node<'_>) -> Result<(), Fault> {
        let (parent, name) = self.place(path)?;
        self.clear(&parent, path, name)?;
        let mode = Mode::from_bits_truncate(0o600);
        let made = match node {
            Node::Symlink(target) => symlinkat(target, &*parent, name),
            Node::Char(device) => mknodat(&*parent, name, SFlag::S_IFCHR, mode, device),
            Node::Block(device) => mknodat(&*parent, name, SFlag::S_IFBLK, mode, device),
            Node::Fifo => mknodat(&*parent, name, SFlag::S_IFIFO, mode, 0),
        };
        match made {
            Err(Errno::EPERM) if matches!(node, Node::Char(_) | Node::Block(_)) => {
                // A container gets its devices from its runtime, so one in the image is hardly missed.
                tracing::debug!(path = %path.display(), "a device is left out for lack of permission");
                Ok(())
            }
            made => {
                made.map_err(self.at(path, "creating a link or device"))?;
                self.dress(&parent, path, name, &attributes, matches!(node, Node::Symlink(_)))
            }
        }
    }

    pub(super) fn hard_link(&mut self, path: &Path, target: &Path) -> Result<(), Fault> {
        if path == target {
            return Ok(());
        }
        let wrong = || {
            Fault::Malformed(format!(
                "`{}` links to `{}`, which is no file of the layer",
                path.display(),
                target.display()
            ))
        };
        let Some(target_name) = target.file_name() else { return Err(wrong()) };
        let from = self.resolve(target.parent().unwrap_or(Path::new(""))).map_err(|_| wrong())?;
        let (parent, name) = self.place(path)?;
        self.clear(&parent, path, name)?;
        match linkat(&from, target_name, &*parent, name, AtFlags::empty()) {
            Err(Errno::ENOENT | Errno::EPERM | Errno::ENOTDIR) => Err(wrong()),
            done => done.map_err(self.at(path, "creating a link")),
        }
    }

    /// Marks `path` as deleted from lower layers.
    pub(super) fn whiteout(&mut self, path: &Path) -> Result<(), Fault> {
        let (parent, name) = self.place(path)?;
        match self.kind(&parent, path, name)? {
            None => mknodat(&*parent, name, SFlag::S_IFCHR, Mode::empty(), 0)
                .map_err(self.at(path, "marking a deleted file")),
            // Deletions are of lower layers only: what this layer brings stays, without what was there before.
            Some(SFlag::S_IFDIR) => self.opaque(path),
            Some(_) => Ok(()),
        }
    }

    /// Marks what lower layers have in the directory `path` as deleted.
    pub(super) fn opaque(&mut self, path: &Path) -> Result<(), Fault> {
        self.open_dir(path)?;
        let dir = self.open_existing(path, OFlag::O_RDONLY).map_err(self.at(path, "opening a directory"))?;
        let dir = File::from(dir);
        let marked = dir.set_xattr("trusted.overlay.opaque", b"y").or_else(|error| {
            match error.raw_os_error().map(Errno::from_raw) {
                // Without the privilege for it, the mark of overlays mounted with `userxattr`.
                Some(Errno::EPERM | Errno::ENOTSUP) => dir.set_xattr("user.overlay.opaque", b"y"),
                _ => Err(error),
            }
        });
        marked.map_err(|error| self.failed(path, "marking a directory as opaque", error))
    }

    /// Gives directories their attributes and forces everything to disk.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        self.last = None;
        for (path, attributes) in std::mem::take(&mut self.directories).into_iter().rev() {
            let how = OFlag::O_PATH | OFlag::O_NOFOLLOW;
            // A directory that the stream replaced by something else later on needs nothing.
            let Ok(dir) = self.open_existing(&path, how) else { continue };
            self.dress(&dir, &path, OsStr::new("."), &attributes, false)?;
        }
        if self.durable {
            let root =
                if self.files > FEW_FILES { syncfs(&self.root) } else { nix::unistd::fsync(&self.root) };
            root.map_err(self.at(Path::new("."), "writing a layer"))?;
        }
        Ok(())
    }

    fn failed(&self, path: &Path, doing: &'static str, source: io::Error) -> Fault {
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENAMETOOLONG | Errno::EINVAL | Errno::ENOENT | Errno::ENOTDIR) => {
                Fault::Malformed(format!("`{}` cannot be unpacked while {doing}: {source}", path.display()))
            }
            Some(Errno::EXDEV | Errno::ELOOP) => {
                Fault::Malformed(format!("`{}` leads through a link out of the image", path.display()))
            }
            _ => Fault::Storage { path: self.path.join(path), doing, source },
        }
    }

    fn at(&self, path: &Path, doing: &'static str) -> impl FnOnce(Errno) -> Fault {
        move |errno| self.failed(path, doing, errno.into())
    }

    /// An open parent directory, made when needed, and the last part of the name.
    fn place<'a>(&mut self, path: &'a Path) -> Result<(Rc<OwnedFd>, &'a OsStr), Fault> {
        let nameless = || Fault::Malformed(format!("`{}` has no name", path.display()));
        let name = path.file_name().ok_or_else(nameless)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        if let Some((known, fd)) = &self.last
            && known == parent
        {
            return Ok((Rc::clone(fd), name));
        }
        let fd = Rc::new(self.open_dir(parent)?);
        self.last = Some((parent.to_owned(), Rc::clone(&fd)));
        Ok((fd, name))
    }

    fn open_existing(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.root, if path.as_os_str().is_empty() { Path::new(".") } else { path }, how)
    }

    fn resolve(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_existing(path, OFlag::O_PATH)
    }

    /// Opens a directory of the tree and makes what is missing of it.
    fn open_dir(&mut self, path: &Path) -> Result<OwnedFd, Fault> {
        let missing = match self.resolve(path) {
            Ok(fd) => return Ok(fd),
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => errno,
            Err(errno) => return Err(self.at(path, "opening a directory")(errno)),
        };
        let (Some(name), Some(above)) = (path.file_name(), path.parent()) else {
            return Err(self.at(path, "opening a directory")(missing));
        };
        let parent = self.open_dir(above)?;
        let mode = Mode::from_bits_truncate(0o755);
        match self.kind(&parent, path, name)? {
            None => mkdirat(&parent, name, mode).map_err(self.at(path, "creating a directory"))?,
            // Made while the parents were.
            Some(SFlag::S_IFDIR) => {}
            Some(SFlag::S_IFCHR) => {
                self.clear(&parent, path, name)?;
                mkdirat(&parent, name, mode).map_err(self.at(path, "creating a directory"))?;
                self.opaque(path)?;
            }
            Some(_) => {
                return Err(Fault::Malformed(format!(
                    "`{}` is not a directory of the layer",
                    path.display()
                )));
            }
        }
        self.resolve(path).map_err(self.at(path, "opening a directory"))
    }

    fn kind(&self, parent: &OwnedFd, path: &Path, name: &OsStr) -> Result<Option<SFlag>, Fault> {
        match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.at(path, "looking at a file")(errno)),
        }
    }

    /// Makes room: a later entry of the same name replaces the earlier one.
    fn clear(&mut self, parent: &OwnedFd, path: &Path, name: &OsStr) -> Result<(), Fault> {
        match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EISDIR) => {
                self.last = None;
                let inside = by_descriptor(parent, name);
                std::fs::remove_dir_all(inside)
                    .map_err(|error| self.failed(path, "replacing a directory", error))
            }
            Err(errno) => Err(self.at(path, "replacing a file")(errno)),
        }
    }

    /// Sets owner, mode, extended attributes and time, in this order: changing the owner clears some of the others.
    fn dress(
        &self,
        parent: &OwnedFd,
        path: &Path,
        name: &OsStr,
        to: &Attributes,
        link: bool,
    ) -> Result<(), Fault> {
        if self.privileged {
            let (uid, gid) = (Uid::from_raw(to.uid), Gid::from_raw(to.gid));
            fchownat(parent.as_fd(), name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
                .map_err(self.at(path, "setting an owner"))?;
        }
        if !link {
            // Without the right owner, running as the owner would be wrong.
            let mode = Mode::from_bits_truncate(if self.privileged { to.mode } else { to.mode & 0o1777 });
            fchmodat(parent, name, mode, FchmodatFlags::FollowSymlink)
                .map_err(self.at(path, "setting a mode"))?;
        }
        for (key, value) in &to.xattrs {
            if let Err(error) = xattr::set(by_descriptor(parent, name), key, value) {
                match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EPERM | Errno::ENOTSUP) => {
                        tracing::debug!(path = %path.display(), ?key, "an attribute is left out: {error}");
                    }
                    _ => return Err(self.failed(path, "setting an attribute", error)),
                }
            }
        }
        let time = TimeSpec::seconds(to.modified.0) + TimeSpec::nanoseconds(to.modified.1);
        utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(self.at(path, "setting a time"))
    }
}

/// A path to `name` in an open directory, for calls that take no descriptor.
fn by_descriptor(parent: &OwnedFd, name: &OsStr) -> PathBuf {
    Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name)
}
