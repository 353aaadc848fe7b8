//! The file of a lab: what was made, and what was done to it since. Every command reads it; one at a time writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::layout::Layout;

/// Where labs are kept unless said otherwise.
const FOLDER: &str = "/var/lib/univrs-lab";

/// What was done to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Nothing: it should run.
    #[default]
    Running,
    /// Its processes are stopped and go on later.
    Paused,
    /// Its processes are gone as by a power cut.
    Killed,
}

/// A lab as it was raised and treated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lab {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub dir: PathBuf,
    /// What runs containers.
    pub runtime: String,
    /// Whether regions are as far apart as in the world.
    pub delayed: bool,
    /// Nodes, regions and distances.
    pub layout: Layout,
    /// What each node is told to give, as `univrs up --capacity` takes it.
    pub capacity: String,
    /// The port of this machine that leads to the API of a live node.
    #[serde(default)]
    pub api_port: Option<u16>,
    /// The process of the relay and the forwarder.
    #[serde(default)]
    pub keeper: Option<i32>,
    /// The process of each node, by name.
    #[serde(default)]
    pub pids: BTreeMap<String, i32>,
    /// What was done to nodes, by name.
    #[serde(default)]
    pub fates: BTreeMap<String, Fate>,
    /// Packets from the first node of a pair do not reach the second.
    #[serde(default)]
    pub cuts: BTreeSet<(String, String)>,
    /// The token that further nodes join with.
    #[serde(default)]
    pub join_token: Option<String>,
}

/// The directory of a lab.
pub fn directory(name: &str, dir: Option<&Path>) -> PathBuf {
    dir.map_or_else(|| Path::new(FOLDER).join(name), Path::to_owned)
}

impl Lab {
    /// The lab in a directory.
    ///
    /// # Errors
    /// When there is none or its file cannot be read.
    pub fn load(dir: &Path) -> Result<Self, LabError> {
        let path = file(dir);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(LabError::Absent { dir: dir.to_owned() });
            }
            Err(source) => return Err(LabError::File { doing: "read", path, source }),
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| LabError::step(format!("read {}", path.display()), error))
    }

    /// Writes the file whole or not at all.
    pub(crate) fn save(&self) -> Result<(), LabError> {
        let path = file(&self.dir);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| LabError::step(format!("write {}", path.display()), error))?;
        let new = self.dir.join("lab.json.new");
        fs::write(&new, text).map_err(LabError::file("write", &new))?;
        fs::rename(&new, &path).map_err(LabError::file("write", &path))
    }

    /// What was done to a node.
    pub fn fate(&self, node: &str) -> Fate {
        self.fates.get(node).copied().unwrap_or_default()
    }

    /// Whether more than half of the other nodes are cut off from a node, in either direction.
    pub(crate) fn is_cut_off(&self, node: &str) -> bool {
        let others: BTreeSet<&String> = (self.cuts.iter())
            .filter_map(|(from, to)| match (from == node, to == node) {
                (true, _) => Some(to),
                (_, true) => Some(from),
                _ => None,
            })
            .collect();
        others.len() * 2 > self.layout.seats.len().saturating_sub(1)
    }

    /// The namespace of the router.
    pub(crate) fn router(&self) -> String {
        format!("{}router", prefix(&self.name))
    }

    /// The namespace of a node.
    pub(crate) fn namespace(&self, node: &str) -> String {
        format!("{}{node}", prefix(&self.name))
    }

    /// The namespace of the router that hides a node.
    pub(crate) fn hiding(&self, seat: &crate::layout::Seat) -> String {
        format!("{}nat{}", prefix(&self.name), seat.number)
    }

    /// What lies in the lab's directory for a node.
    pub(crate) fn node_dir(&self, node: &str) -> PathBuf {
        self.dir.join("nodes").join(node)
    }

    /// The data directory of a node.
    pub fn data_dir(&self, node: &str) -> PathBuf {
        self.node_dir(node).join("data")
    }

    /// The log of a node.
    pub fn log(&self, node: &str) -> PathBuf {
        self.node_dir(node).join("log")
    }
}

/// What the names of a lab's namespaces begin with.
pub(crate) fn prefix(name: &str) -> String {
    format!("univrs-{name}-")
}

fn file(dir: &Path) -> PathBuf {
    dir.join("lab.json")
}

/// Keeps a second command from changing the same lab, until dropped.
pub(crate) struct Held(#[allow(dead_code, reason = "holds the lock")] Flock<File>);

/// Waits for the lab and takes it.
pub(crate) fn hold(dir: &Path) -> Result<Held, LabError> {
    let file = File::open(dir).map_err(|error| match error.kind() {
        ErrorKind::NotFound => LabError::Absent { dir: dir.to_owned() },
        _ => LabError::File { doing: "open", path: dir.to_owned(), source: error },
    })?;
    let locked = Flock::lock(file, FlockArg::LockExclusive);
    locked.map(Held).map_err(|(_, error)| LabError::step(format!("lock {}", dir.display()), error))
}
