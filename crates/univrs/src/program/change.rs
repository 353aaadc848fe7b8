//! Which program runs on this node, and how the last change of it went: two small files in the data directory, each
//! replaced as a whole.
//!
//! Whatever starts the daemon starts the installed program. That hands over to the copy that an upgrade chose, unless
//! another program was installed since: who puts a program in its place by hand means it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use univrs_model::Timestamp;
use univrs_ports::programs::{Outcome, Tried};

/// The copy that runs instead of the installed program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chosen {
    /// Its digest.
    pub(crate) digest: String,
    /// The installed program when it was chosen.
    pub(crate) installed: Installed,
}

/// An installed program, well enough to see that another was put in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Installed {
    path: PathBuf,
    size: u64,
    modified: (i64, i64),
}

impl Installed {
    /// The program at a path. One that runs and was replaced since is followed by its successor.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let path = path.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map_or(path, Path::new);
        let meta = fs::metadata(path)?;
        Ok(Self { path: path.to_owned(), size: meta.size(), modified: (meta.mtime(), meta.mtime_nsec()) })
    }
}

/// A change of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// Who asked for it.
    pub(crate) by: String,
    /// Digest of what is tried.
    pub(crate) to: String,
    /// Digest of what ran before.
    pub(crate) from: String,
    /// The process that stands by meanwhile.
    pub(crate) guard: u32,
    /// How long it has, in seconds.
    pub(crate) seconds: u64,
    /// How it went.
    pub(crate) outcome: Outcome,
    /// What ran when it was asked for, and since when: it has to run on.
    pub(crate) containers: BTreeMap<String, Timestamp>,
}

impl Change {
    /// As others are told.
    pub(crate) fn told(&self) -> Tried {
        Tried { by: self.by.clone(), to: self.to.clone(), outcome: self.outcome.clone() }
    }
}

/// The directory of copies and of these two files.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    root: PathBuf,
}

impl Place {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the copy of this digest lies.
    pub(crate) fn copy(&self, digest: &str) -> PathBuf {
        self.root.join(digest.strip_prefix("sha256:").unwrap_or(digest))
    }

    pub(crate) fn chosen(&self) -> Option<Chosen> {
        self.read("chosen.json")
    }

    pub(crate) fn choose(&self, chosen: &Chosen) -> io::Result<()> {
        self.write("chosen.json", chosen)
    }

    pub(crate) fn change(&self) -> Option<Change> {
        self.read("change.json")
    }

    pub(crate) fn note(&self, change: &Change) -> io::Result<()> {
        self.write("change.json", change)
    }

    /// What is there and can be read; the programs themselves matter more than what was noted of them.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.root.join(name)).ok()?).ok()
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        fs::create_dir_all(&self.root)?;
        let temporary = self.root.join(format!("{name}.new"));
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.sync_all()?;
        fs::rename(&temporary, self.root.join(name))?;
        File::open(&self.root)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use univrs_ports::programs::Outcome;

    use super::{Change, Chosen, Installed, Place};

    #[test]
    fn what_is_noted_is_found_again_and_a_new_file_is_another_program() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("programs"));
        assert_eq!((place.chosen(), place.change()), (None, None));
        let program = dir.path().join("univrs");
        std::fs::write(&program, "one").unwrap();
        let installed = Installed::at(&program).unwrap();
        let chosen = Chosen { digest: "sha256:ab".to_owned(), installed: installed.clone() };
        place.choose(&chosen).unwrap();
        assert_eq!(place.chosen(), Some(chosen));
        let change = Change {
            by: "op".to_owned(),
            to: "sha256:ab".to_owned(),
            from: "sha256:cd".to_owned(),
            guard: 1,
            seconds: 5,
            outcome: Outcome::Returned { reason: "it ended".to_owned() },
            containers: [("a/b".to_owned(), univrs_model::Timestamp::UNIX_EPOCH)].into(),
        };
        place.note(&change).unwrap();
        assert_eq!(place.change(), Some(change));
        assert_eq!(place.copy("sha256:ab"), place.root().join("ab"));
        std::fs::write(&program, "other").unwrap();
        assert_ne!(Installed::at(&program).unwrap(), installed);
    }
}
