//! Who this node is: the identity in its data directory, and the lock that keeps a second daemon out.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use univrs_model::Timestamp;
use univrs_model::ids::{ClusterId, NodeId};
use univrs_model::name::Name;
use univrs_model::node::Role;

use crate::cluster::trust::Files;
use crate::failure::Failure;
use crate::program::change::Place;

/// The format of the data directory. A newer one is refused, an older one is read.
const FORMAT: u32 = 1;

/// What the data directory says of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The format of the data directory.
    pub(crate) format: u32,
    /// This node's id.
    pub(crate) node: NodeId,
    /// The cluster it belongs to.
    pub(crate) cluster: ClusterId,
    /// Its block of the cluster's address range, once it has one.
    #[serde(default)]
    pub(crate) range: Option<String>,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// Whether the replicated state was once made here; from then on its absence is a loss, not a beginning.
    #[serde(default)]
    pub(crate) founded: bool,
    /// What it is as a member, once it has founded or joined a cluster.
    #[serde(default)]
    pub(crate) standing: Option<Standing>,
    /// Where the Docker Engine listens in which its containers are, if they are in one.
    #[serde(default)]
    pub(crate) docker: Option<PathBuf>,
}

impl Identity {
    /// A node that nobody knows yet, of a cluster that does not exist yet.
    pub(crate) fn fresh(now: Timestamp) -> Self {
        Self {
            format: FORMAT,
            node: NodeId::from_bits(rand::random()),
            cluster: ClusterId::from_bits(rand::random()),
            range: None,
            created_at: now,
            founded: false,
            standing: None,
            docker: None,
        }
    }
}

/// What a node is as a member of its cluster: given once, and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Its name.
    pub(crate) name: Name,
    /// Its number among those that hold a copy of the state; absent on one that holds none.
    pub(crate) member: Option<u64>,
    /// What it is for.
    pub(crate) roles: Vec<Role>,
    /// The range that the cluster's nodes share out.
    pub(crate) cluster_cidr: String,
    /// Whether it joined; else it founded the cluster.
    pub(crate) joined: bool,
}

/// The parts of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
}

impl DataDir {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    pub(crate) fn network(&self) -> PathBuf {
        self.root.join("network")
    }

    pub(crate) fn instances(&self) -> PathBuf {
        self.root.join("instances")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Volumes of resources in a Docker Engine: they outlive the node.
    pub(crate) fn engine_volumes(&self) -> PathBuf {
        self.root.join("engine-volumes")
    }

    /// The state as it was before a recovery.
    pub(crate) fn store_before(&self, at: Timestamp) -> PathBuf {
        self.root.join(format!("store-before-recovery-{}", at.as_second()))
    }

    /// The private key that opens secrets: beside the store, never in it.
    pub(crate) fn secrets_key(&self) -> PathBuf {
        self.root.join("secrets.key")
    }

    /// Copies of the program, and which of them runs.
    pub(crate) fn programs(&self) -> Place {
        Place::new(self.root.join("programs"))
    }

    /// The key of this node's peer.
    pub(crate) fn peer_key(&self) -> PathBuf {
        self.root.join("peer.key")
    }

    /// The members as this node knew them last.
    pub(crate) fn members(&self) -> PathBuf {
        self.root.join("members.json")
    }

    /// The key by which other nodes know this one, and its certificates.
    pub(crate) fn trust(&self) -> Files {
        Files { key: self.root.join("node.key"), certificates: self.root.join("certificates.json") }
    }

    /// Where the files of secrets lie while containers read them: in memory, and with the sockets because it goes
    /// with the machine.
    pub(crate) fn secrets(&self, node: &NodeId) -> PathBuf {
        self.run_dir(node).join("secrets")
    }

    fn identity(&self) -> PathBuf {
        self.root.join("node.json")
    }

    fn lock(&self) -> PathBuf {
        self.root.join("daemon.lock")
    }

    /// Where sockets and other short-lived things lie. Paths of sockets are short by kernel law, so not below the
    /// data directory.
    pub(crate) fn run_dir(&self, node: &NodeId) -> PathBuf {
        let short: String = node.as_str().chars().skip(NodeId::PREFIX.len()).take(8).collect();
        Path::new("/run/univrs").join(short)
    }

    /// Reads the identity, if there is one.
    pub(crate) fn read_identity(&self) -> Result<Option<Identity>, Failure> {
        let path = self.identity();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Failure::File { doing: "read", path, source }),
        };
        let identity: Identity = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::DataDir { path: path.clone(), reason: error.to_string() })?;
        if identity.format > FORMAT {
            return Err(Failure::NewerDataDir { path, found: identity.format, known: FORMAT });
        }
        Ok(Some(identity))
    }

    /// Writes the identity so that it is there whole or not at all.
    pub(crate) fn write_identity(&self, identity: &Identity) -> Result<(), Failure> {
        let path = self.identity();
        let fail = |source| Failure::File { doing: "write", path: path.clone(), source };
        let temporary = self.root.join("node.json.new");
        let mut file = File::create(&temporary).map_err(fail)?;
        let text = serde_json::to_vec_pretty(identity).map_err(|error| fail(error.into()))?;
        file.write_all(&text).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        fs::rename(&temporary, &path).map_err(fail)?;
        File::open(&self.root).and_then(|folder| folder.sync_all()).map_err(fail)
    }

    /// A new identity for an empty directory.
    pub(crate) fn make_identity(&self, now: Timestamp) -> Result<Identity, Failure> {
        let identity = Identity::fresh(now);
        self.write_identity(&identity)?;
        Ok(identity)
    }

    /// Takes the directory for this process.
    ///
    /// # Errors
    /// [`Failure::AlreadyRunning`] with the process that has it.
    pub(crate) fn take(&self) -> Result<Held, Failure> {
        fs::create_dir_all(&self.root).map_err(|source| Failure::File {
            doing: "create",
            path: self.root.clone(),
            source,
        })?;
        let path = self.lock();
        let fail = |source| Failure::File { doing: "open", path: path.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0).map_err(fail)?;
                lock.rewind().map_err(fail)?;
                write!(*lock, "{}", std::process::id()).map_err(fail)?;
                Ok(Held(lock))
            }
            Err((mut file, _)) => {
                let mut text = String::new();
                // Only for the message: without the number it is still true.
                drop(file.read_to_string(&mut text));
                Err(Failure::AlreadyRunning { path: self.root.clone(), pid: text.trim().parse().ok() })
            }
        }
    }
}

/// A data directory that this process has to itself, until dropped.
pub(crate) struct Held(#[allow(dead_code, reason = "holds the lock")] Flock<File>);

#[cfg(test)]
mod tests {
    use super::DataDir;
    use crate::failure::Failure;

    fn scratch(name: &str) -> DataDir {
        let root = std::env::temp_dir().join(format!("univrs-identity-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&root));
        std::fs::create_dir_all(&root).unwrap();
        DataDir::new(root)
    }

    #[test]
    fn an_identity_is_made_once() {
        let dir = scratch("once");
        assert_eq!(dir.read_identity().unwrap(), None);
        let made = dir.make_identity(univrs_model::Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(dir.read_identity().unwrap(), Some(made));
        std::fs::remove_dir_all(dir.root()).unwrap();
    }

    #[test]
    fn a_newer_format_is_refused() {
        let dir = scratch("newer");
        let mut made = dir.make_identity(univrs_model::Timestamp::UNIX_EPOCH).unwrap();
        made.format = 99;
        dir.write_identity(&made).unwrap();
        assert!(matches!(dir.read_identity(), Err(Failure::NewerDataDir { found: 99, .. })));
        std::fs::remove_dir_all(dir.root()).unwrap();
    }

    #[test]
    fn a_directory_has_one_daemon() {
        let dir = scratch("lock");
        let held = dir.take().unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(dir.take(), Err(Failure::AlreadyRunning { pid: Some(pid), .. }) if pid == me));
        drop(held);
        drop(dir.take().unwrap());
        std::fs::remove_dir_all(dir.root()).unwrap();
    }
}
