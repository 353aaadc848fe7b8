//! The store's directory.
//!
//! ```text
//! lock                    shared while a process has the store open; alone only for sweeping and collecting
//! blobs/sha256/<hex>      manifests, configurations and layers as they travel
//! layers/<32 hex>/        unpacked layers by the start of their uncompressed digest; short, since overlay mount
//!                         options have to hold the paths of all layers
//! refs/<32 hex>.json      one file per reference
//! sent/                   blobs that people send, until the manifest comes that names them; forgotten after a day
//! tmp/                    things being made; whatever a dead process left here goes at the next open
//! ```
//! Content enters `blobs`, `layers` and `refs` only by rename of something complete, so a process may die at any point.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir, TempPath};
use univrs_ports::images::{ImageError, ImageSummary};

use crate::digest::Digest;
use crate::reference::shorten;

/// What is known of a reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The full name.
    pub(crate) reference: String,
    /// Digest of the manifest for this platform.
    pub(crate) manifest: String,
    /// Digest that the registry gave for the name; differs from `manifest` when that was an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resolved: Option<String>,
    /// Bytes of the blobs.
    pub(crate) size: u64,
    /// When it came here.
    pub(crate) created_at: jiff::Timestamp,
    /// Fingerprint of the files it was packed from, if it was packed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
}

impl Record {
    pub(crate) fn summary(&self) -> ImageSummary {
        ImageSummary {
            reference: shorten(&self.reference),
            digest: self.manifest.clone(),
            size: self.size,
            created_at: self.created_at,
        }
    }
}

/// A [`ImageError::Storage`] for this path.
pub(crate) fn storage(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> ImageError {
    let path = path.to_owned();
    move |source| ImageError::Storage { path, doing, source }
}

/// The directory and what is done to it; everything here blocks.
pub(crate) struct Disk {
    root: PathBuf,
    lock: Flock<File>,
    durable: bool,
}

impl Disk {
    /// Opens or makes the directory and sweeps what dead processes left.
    pub(crate) fn open(root: &Path, durable: bool) -> Result<Self, ImageError> {
        let make = |path: &Path| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(storage(path, "creating a directory"))
        };
        make(root)?;
        let root = root.canonicalize().map_err(storage(root, "finding the directory"))?;
        for folder in ["blobs/sha256", "layers", "refs", "tmp"] {
            make(&root.join(folder))?;
        }
        let path = root.join("lock");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(storage(&path, "opening the lock file"))?;
        let fail = |errno: nix::Error| storage(&path, "locking")(errno.into());
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                sweep(&root.join("tmp"))?;
                lock.relock(FlockArg::LockShared).map_err(fail)?;
                lock
            }
            // Another process has the store open, so nothing in `tmp` is certain to be dead.
            Err((file, _)) => Flock::lock(file, FlockArg::LockShared).map_err(|(_, errno)| fail(errno))?,
        };
        Ok(Self { root, lock, durable })
    }

    /// Runs `work` if no other process has the store open.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> T) -> Result<Option<T>, ImageError> {
        let fail = |errno: nix::Error| storage(&self.root.join("lock"), "locking")(errno.into());
        let alone = self.lock.relock(FlockArg::LockExclusiveNonblock).is_ok();
        let done = alone.then(work);
        // A failed attempt drops the shared lock, a successful one must be weakened: both ways it is taken again.
        self.lock.relock(FlockArg::LockShared).map_err(fail)?;
        Ok(done)
    }

    pub(crate) const fn durable(&self) -> bool {
        self.durable
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(crate) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(&diff_id.hex()[..32])
    }

    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// A file that vanishes unless it is kept.
    pub(crate) fn temp_file(&self) -> Result<NamedTempFile, ImageError> {
        NamedTempFile::new_in(self.tmp()).map_err(storage(&self.tmp(), "creating a file"))
    }

    /// A directory that vanishes unless it is kept.
    pub(crate) fn temp_dir(&self) -> Result<TempDir, ImageError> {
        TempDir::new_in(self.tmp()).map_err(storage(&self.tmp(), "creating a directory"))
    }

    /// The length of a blob, when it is here.
    pub(crate) fn blob_length(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.blob(digest)).ok().map(|data| data.len())
    }

    /// The bytes of a small blob, when it is here and undamaged.
    pub(crate) fn read_document(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>, ImageError> {
        let path = self.blob(digest);
        if self.blob_length(digest).is_none_or(|length| length > limit) {
            return Ok(None);
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(storage(&path, "reading a blob")(error)),
        };
        if Digest::of(&bytes) == *digest {
            return Ok(Some(bytes));
        }
        tracing::warn!(%digest, "a damaged blob is dropped");
        fs::remove_file(&path).map_err(storage(&path, "dropping a damaged blob"))?;
        Ok(None)
    }

    /// Makes a complete file the blob named `digest`, which the caller has computed.
    pub(crate) fn keep_blob(&self, file: TempPath, digest: &Digest) -> Result<(), ImageError> {
        let path = self.blob(digest);
        if self.durable {
            File::open(&file).and_then(|file| file.sync_data()).map_err(storage(&path, "writing a blob"))?;
        }
        file.persist(&path).map_err(|error| storage(&path, "naming a blob")(error.error))?;
        self.sync_dir(&self.blobs())
    }

    /// Stores a small blob and answers its digest.
    pub(crate) fn put_document(&self, bytes: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::of(bytes);
        if self.blob_length(&digest) != Some(bytes.len() as u64) {
            let mut file = self.temp_file()?;
            file.write_all(bytes).map_err(storage(file.path(), "writing a blob"))?;
            self.keep_blob(file.into_temp_path(), &digest)?;
        }
        Ok(digest)
    }

    /// Makes a complete directory the unpacked layer `diff_id`; when it is there already, the new one goes.
    pub(crate) fn keep_layer(&self, dir: TempDir, diff_id: &Digest) -> Result<(), ImageError> {
        let path = self.layer(diff_id);
        match fs::rename(dir.path(), &path) {
            Ok(()) => {
                // Nothing is left to delete under the old name.
                let _ = dir.keep();
                self.sync_dir(&self.layers())
            }
            Err(_) if path.is_dir() => {
                dir.close().map_err(storage(&self.tmp(), "deleting a layer that was already here"))
            }
            Err(error) => Err(storage(&path, "naming a layer")(error)),
        }
    }

    fn record_path(&self, full: &str) -> PathBuf {
        self.root.join("refs").join(format!("{}.json", &Digest::of(full.as_bytes()).hex()[..32]))
    }

    /// The record of a full name.
    pub(crate) fn record(&self, full: &str) -> Result<Option<Record>, ImageError> {
        read_record(&self.record_path(full))
    }

    /// Every record, by name.
    pub(crate) fn records(&self) -> Result<Vec<Record>, ImageError> {
        let folder = self.root.join("refs");
        let fail = || storage(&folder, "reading the references");
        let mut records = Vec::new();
        for entry in fs::read_dir(&folder).map_err(fail())? {
            records.extend(read_record(&entry.map_err(fail())?.path())?);
        }
        records.sort_by(|a: &Record, b| a.reference.cmp(&b.reference));
        Ok(records)
    }

    /// Writes or replaces a record.
    pub(crate) fn put_record(&self, record: &Record) -> Result<(), ImageError> {
        let path = self.record_path(&record.reference);
        let fail = || storage(&path, "writing a reference");
        let mut file = self.temp_file()?;
        serde_json::to_writer(&mut file, record).map_err(|error| fail()(error.into()))?;
        if self.durable {
            file.as_file().sync_data().map_err(fail())?;
        }
        file.persist(&path).map_err(|error| fail()(error.error))?;
        self.sync_dir(&self.root.join("refs"))
    }

    /// Deletes a record; answers whether it was there.
    pub(crate) fn delete_record(&self, full: &str) -> Result<bool, ImageError> {
        let path = self.record_path(full);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(storage(&path, "deleting a reference")(error)),
        }
    }

    /// Moves something out of the store at once; it is deleted with the answered directory.
    pub(crate) fn discard(&self, path: &Path) -> Result<TempDir, ImageError> {
        let bin = self.temp_dir()?;
        fs::rename(path, bin.path().join("content")).map_err(storage(path, "discarding content"))?;
        Ok(bin)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), ImageError> {
        if !self.durable {
            return Ok(());
        }
        File::open(path).and_then(|dir| dir.sync_all()).map_err(storage(path, "writing a directory"))
    }
}

fn read_record(path: &Path) -> Result<Option<Record>, ImageError> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "an unreadable reference is passed over"))
            .ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(storage(path, "reading a reference")(error)),
    }
}

fn sweep(tmp: &Path) -> Result<(), ImageError> {
    for entry in fs::read_dir(tmp).map_err(storage(tmp, "sweeping"))? {
        let path = entry.map_err(storage(tmp, "sweeping"))?.path();
        let gone = if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        if let Err(error) = gone {
            tracing::warn!(path = %path.display(), %error, "a leftover could not be deleted");
        }
    }
    Ok(())
}

/// Bytes on disk of a file or a tree.
pub(crate) fn usage(path: &Path) -> u64 {
    let Ok(data) = path.symlink_metadata() else { return 0 };
    // A hard link holds its file only together with the others; each counts its share.
    let own = data.blocks() * 512 / if data.is_dir() { 1 } else { data.nlink().max(1) };
    if !data.is_dir() {
        return own;
    }
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    own + inside.map(|entry| usage(&entry.path())).sum::<u64>()
}
