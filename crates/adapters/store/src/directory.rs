//! The data directory: who owns it, who uses it, and in which format it is.
//!
//! ```text
//! FORMAT   text: format version, cluster, member, whether it founded or joined the cluster; written once
//! LOCK     locked while a process has the store open
//! log/     segments of the write-ahead log
//! snapshot/ the newest snapshot
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use univrs_ports::store::{ClusterId, Error, MemberId, Result};

use crate::disk::{io_error, sync_dir, sync_parent, write_atomically};

const FORMAT_VERSION: u32 = 1;
const TITLE: &str = "univrs-store";
const FOUNDED: &str = "founded";
const JOINED: &str = "joined";
/// How long a lock may be in the way that nobody means to keep: that of a process which is about to end, or of a child
/// which was just made and still has all files of its parent.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// A directory that this process has for itself.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    pub(crate) cluster: ClusterId,
    pub(crate) member: MemberId,
    /// The cluster began in this directory; it may be initialised here, and nowhere else.
    pub(crate) founder: bool,
    /// Dropping it releases the lock.
    _lock: File,
}

impl Directory {
    /// Locks the directory and checks whose it is. A new directory founds a cluster, when asked to, or joins
    /// the expected one.
    pub(crate) fn open(
        root: &Path,
        member: MemberId,
        expected: Option<ClusterId>,
        found_cluster: bool,
    ) -> Result<Self> {
        fs::create_dir_all(root).map_err(io_error("create", root))?;
        let lock = lock(root)?;
        let format = root.join("FORMAT");
        let (cluster, founder) = match fs::read_to_string(&format) {
            Ok(text) => {
                let (cluster, owner, founder) = parse(&format, &text)?;
                if let Some(expected) = expected.filter(|expected| *expected != cluster) {
                    return Err(Error::OtherCluster { expected, found: cluster });
                }
                if owner != member {
                    return Err(Error::OtherMember { expected: member, found: owner });
                }
                (cluster, founder)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if root.join("log").exists() {
                    let reason = "the file is missing although there is data".to_owned();
                    return Err(Error::Corrupt { path: format, offset: 0, reason });
                }
                let fresh = || found_cluster.then(|| ClusterId(rand::random()));
                let cluster =
                    expected.or_else(fresh).ok_or_else(|| Error::NotInitialised { path: root.to_owned() })?;
                let origin = if found_cluster { FOUNDED } else { JOINED };
                let text = format!(
                    "{TITLE} {FORMAT_VERSION}\ncluster {cluster}\nmember {member}\norigin {origin}\n"
                );
                write_atomically(&format, text.as_bytes())?;
                sync_parent(root)?;
                (cluster, found_cluster)
            }
            Err(error) => return Err(io_error("read", &format)(error)),
        };
        let directory = Self { root: root.to_owned(), cluster, member, founder, _lock: lock };
        for dir in [directory.log(), directory.snapshots()] {
            fs::create_dir_all(&dir).map_err(io_error("create", &dir))?;
        }
        sync_dir(root)?;
        Ok(directory)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshot")
    }
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join("LOCK");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_error("open", &path))?;
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: root.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<(ClusterId, MemberId, bool)> {
    let corrupt =
        |reason: &str| Error::Corrupt { path: path.to_owned(), offset: 0, reason: reason.to_owned() };
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::trim);
    let version: u32 = field(TITLE)
        .and_then(|version| version.parse().ok())
        .ok_or_else(|| corrupt("the first line does not name a format version"))?;
    if version > FORMAT_VERSION {
        return Err(Error::NewerFormat { path: path.to_owned(), found: version, supported: FORMAT_VERSION });
    }
    let cluster = field("cluster").and_then(|cluster| u128::from_str_radix(cluster, 16).ok());
    let member = field("member").and_then(|member| member.parse().ok());
    let founder = field("origin").and_then(|origin| match origin {
        FOUNDED => Some(true),
        JOINED => Some(false),
        _ => None,
    });
    match (cluster, member, founder) {
        (Some(cluster), Some(member), Some(founder)) => Ok((ClusterId(cluster), MemberId(member), founder)),
        _ => Err(corrupt("it does not name cluster, member and origin")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId(0xabc);

    fn open(root: &Path, member: u64, expected: Option<ClusterId>) -> Result<Directory> {
        Directory::open(root, MemberId(member), expected, true)
    }

    #[test]
    fn one_owner_one_user_and_only_known_formats() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert!(matches!(Directory::open(root, MemberId(1), None, false), Err(Error::NotInitialised { .. })));
        let first = open(root, 1, Some(CLUSTER)).unwrap();
        assert_eq!((first.cluster, first.founder), (CLUSTER, true));
        assert!(matches!(open(root, 1, None), Err(Error::Locked { .. })));
        drop(first);
        assert!(matches!(open(root, 2, None), Err(Error::OtherMember { .. })));
        assert!(matches!(open(root, 1, Some(ClusterId(1))), Err(Error::OtherCluster { .. })));
        drop(open(root, 1, Some(CLUSTER)).unwrap());
        let format = root.join("FORMAT");
        let text = fs::read_to_string(&format).unwrap();
        fs::write(&format, text.replacen(" 1\n", " 2\n", 1)).unwrap();
        assert!(matches!(open(root, 1, None), Err(Error::NewerFormat { found: 2, supported: 1, .. })));
        fs::write(&format, "something else").unwrap();
        assert!(matches!(open(root, 1, None), Err(Error::Corrupt { .. })));
        fs::write(&format, text.replace("founded", "joined")).unwrap();
        assert!(!open(root, 1, None).unwrap().founder, "asking to found does not change what it is");
        fs::remove_file(&format).unwrap();
        assert!(matches!(open(root, 1, None), Err(Error::Corrupt { .. })));
    }
}
