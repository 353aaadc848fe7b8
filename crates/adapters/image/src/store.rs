//! The store: what [`Images`] promises, put together from the other parts.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Semaphore, broadcast};
use univrs_ports::images::{
    DiskSpace, ImageError, ImagePeers, ImageSummary, Images, PreparedImage, PullPolicy,
};

use crate::digest::Digest;
use crate::disk::{Disk, storage};
use crate::image::{Image, Layer, malformed};
use crate::locks::{KeyedLocks, Pins};
use crate::options::{Credentials, Options};
use crate::pull::PullProgress;
use crate::reference::Name;
use crate::registry::Registries;
use crate::unpack::{Fault, unpack};

/// Layers unpacked at once for one image.
const UNPACK_AT_ONCE: usize = 2;

/// Images on this machine. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Disk,
    options: Options,
    locks: KeyedLocks,
    pins: Arc<Pins>,
    registries: Registries,
    downloads: Semaphore,
    progress: broadcast::Sender<PullProgress>,
    prepared: Mutex<HashMap<Digest, Instant>>,
    peers: OnceLock<Arc<dyn ImagePeers>>,
    collecting: Mutex<()>,
}

impl ImageStore {
    /// Opens the store in `dir`, which is made when it is missing, and sweeps what an earlier process left half-done.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(dir: &Path, options: Options) -> Result<Self, ImageError> {
        let disk = Disk::open(dir, options.durable)?;
        let inner = Inner {
            disk,
            locks: KeyedLocks::default(),
            pins: Arc::default(),
            registries: Registries::new(&options),
            downloads: Semaphore::new(options.concurrent_downloads.max(1)),
            progress: broadcast::Sender::new(256),
            prepared: Mutex::default(),
            peers: OnceLock::new(),
            collecting: Mutex::default(),
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What pulls report while they go on. A receiver that is too slow misses reports, and a pull waits for nobody.
    pub fn progress(&self) -> broadcast::Receiver<PullProgress> {
        self.inner.progress.subscribe()
    }

    /// Sets or, with `None`, forgets the credentials for a registry, such as `docker.io` or `registry.example:5000`.
    pub fn set_credentials(&self, registry: &str, credentials: Option<Credentials>) {
        self.registries().set_credentials(registry, credentials);
    }

    pub(crate) fn report(&self, progress: PullProgress) {
        // Without receivers there is nobody to tell.
        let _ = self.inner.progress.send(progress);
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.inner.disk
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn locks(&self) -> &KeyedLocks {
        &self.inner.locks
    }

    pub(crate) fn pins(&self) -> &Arc<Pins> {
        &self.inner.pins
    }

    pub(crate) fn registries(&self) -> &Registries {
        &self.inner.registries
    }

    pub(crate) fn peers(&self) -> &OnceLock<Arc<dyn ImagePeers>> {
        &self.inner.peers
    }

    pub(crate) fn downloads(&self) -> &Semaphore {
        &self.inner.downloads
    }

    pub(crate) fn collecting(&self) -> &Mutex<()> {
        &self.inner.collecting
    }

    /// Images prepared so recently that their containers may not be known to the caller of the collector yet.
    pub(crate) fn recently_prepared(&self) -> Vec<Digest> {
        let mut prepared = self.inner.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.retain(|_, since| since.elapsed() < self.inner.options.keep_prepared);
        prepared.keys().cloned().collect()
    }

    fn note_prepared(&self, digest: &Digest, is: bool) {
        let mut prepared = self.inner.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if is {
            prepared.insert(digest.clone(), Instant::now());
        } else {
            prepared.remove(digest);
        }
    }

    /// Runs work that blocks where blocking is fine.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => Err(storage(self.disk().root(), "running a task")(std::io::Error::other(error))),
        }
    }

    /// Reads an image whose layers are all here, packed or unpacked.
    pub(crate) fn load_complete(
        &self,
        reference: &str,
        digest: &Digest,
    ) -> Result<Option<Image>, ImageError> {
        let (disk, options) = (self.disk(), self.options());
        let image = Image::load(disk, reference, digest, &options.platform, &options.limits)?;
        let here = |layer: &Layer| {
            disk.layer(&layer.diff_id).is_dir() || disk.blob_length(&layer.blob) == Some(layer.size)
        };
        Ok(image.filter(|image| image.layers.iter().all(here)))
    }

    /// Finds an image of this machine by any form of its name.
    pub(crate) fn find(&self, wanted: &Wanted) -> Result<Option<Image>, ImageError> {
        let digest = match wanted {
            Wanted::Digest(digest) => Some(digest.clone()),
            Wanted::Name(name) => match self.disk().record(&name.full())? {
                Some(record) => Digest::parse(&record.manifest),
                // Content is the same wherever it came from.
                None => name.digest(),
            },
        };
        let Some(digest) = digest else { return Ok(None) };
        let mut pinned = self.pins().hold();
        pinned.add(&digest);
        self.load_complete(wanted.given(), &digest)
    }

    /// Unpacks a layer whose blob is here, unless it has been unpacked already.
    pub(crate) async fn unpack_layer(&self, reference: &str, layer: Layer) -> Result<PathBuf, ImageError> {
        let one = self.locks().lock(format!("layer:{}", layer.diff_id)).await;
        let this = self.clone();
        let reference = reference.to_owned();
        self.blocking(move || {
            // Held here, so that giving up waiting does not let another worker begin.
            let _one = one;
            let disk = this.disk();
            let path = disk.layer(&layer.diff_id);
            if path.is_dir() {
                return Ok(path);
            }
            let blob = disk.blob(&layer.blob);
            let file = std::fs::File::open(&blob).map_err(storage(&blob, "opening a layer"))?;
            let dir = disk.temp_dir()?;
            let digest = unpack(file, dir.path(), &this.options().limits, disk.durable()).map_err(
                |fault| match fault {
                    Fault::Malformed(reason) => malformed(&reference, reason),
                    Fault::Storage { path, doing, source } => ImageError::Storage { path, doing, source },
                },
            )?;
            if digest != layer.diff_id {
                return Err(ImageError::DigestMismatch {
                    reference,
                    what: format!("uncompressed layer {}", layer.index + 1),
                    expected: layer.diff_id.to_string(),
                    actual: digest.to_string(),
                });
            }
            disk.keep_layer(dir, &layer.diff_id)?;
            Ok(path)
        })
        .await
    }
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// By name.
    Name(Name),
    /// By the digest alone: only what is here can be meant.
    Digest(Digest),
}

impl Wanted {
    pub(crate) fn parse(text: &str) -> Result<Self, ImageError> {
        match Digest::parse(text) {
            Some(digest) => Ok(Self::Digest(digest)),
            None => Name::parse(text).map(Self::Name),
        }
    }

    pub(crate) fn given(&self) -> &str {
        match self {
            Self::Name(name) => name.given(),
            Self::Digest(digest) => digest.as_str(),
        }
    }

    fn key(&self) -> String {
        match self {
            Self::Name(name) => name.full(),
            Self::Digest(digest) => digest.to_string(),
        }
    }
}

/// The error for what is not on this machine.
pub(crate) fn not_here(reference: &str) -> ImageError {
    ImageError::NotFound { reference: reference.to_owned(), place: "on this machine".to_owned() }
}

#[async_trait]
impl Images for ImageStore {
    async fn prepare(&self, reference: &str, policy: PullPolicy) -> Result<PreparedImage, ImageError> {
        let wanted = Wanted::parse(reference)?;
        let _one = self.locks().lock(format!("image:{}", wanted.key())).await;
        let mut pinned = self.pins().hold();
        let mut found = None;
        if policy != PullPolicy::Always {
            let (this, wanted) = (self.clone(), wanted.clone());
            found = self.blocking(move || this.find(&wanted)).await?;
        }
        // Between finding and pinning the collector may come by, so what was found is looked at again once pinned.
        if let Some(image) = found.take() {
            pin(&mut pinned, &image);
            let (this, given, digest) = (self.clone(), reference.to_owned(), image.digest);
            found = self.blocking(move || this.load_complete(&given, &digest)).await?;
        }
        if found.is_none()
            && policy == PullPolicy::IfAbsent
            && let Wanted::Name(name) = &wanted
            && self.take_from_folder(name).await?
        {
            let (this, wanted) = (self.clone(), wanted.clone());
            found = self.blocking(move || this.find(&wanted)).await?;
            if let Some(image) = &found {
                pin(&mut pinned, image);
            }
        }
        let (image, fetched) = match (found, &wanted, policy) {
            (Some(image), _, _) => (image, false),
            (None, Wanted::Name(name), PullPolicy::IfAbsent) => {
                match self.pull_from_peers(name, &mut pinned).await {
                    Some(found) => found,
                    None => self.pull(name, &mut pinned).await?,
                }
            }
            (None, Wanted::Name(name), PullPolicy::Always) => self.pull(name, &mut pinned).await?,
            (None, _, _) => return Err(not_here(reference)),
        };
        let layers: Vec<PathBuf> = futures::stream::iter(image.layers.clone())
            .map(|layer| self.unpack_layer(reference, layer))
            .buffered(UNPACK_AT_ONCE)
            .try_collect()
            .await?;
        self.note_prepared(&image.digest, true);
        Ok(PreparedImage {
            reference: reference.to_owned(),
            digest: image.digest.to_string(),
            layers: without_repeats(layers),
            config: image.run,
            fetched,
        })
    }

    async fn is_here(&self, reference: &str) -> Result<bool, ImageError> {
        let wanted = Wanted::parse(reference)?;
        let (this, looked_for) = (self.clone(), wanted.clone());
        if self.blocking(move || this.find(&looked_for)).await?.is_some() {
            return Ok(true);
        }
        match &wanted {
            Wanted::Name(name) => self.is_in_folder(name).await,
            Wanted::Digest(_) => Ok(false),
        }
    }

    async fn list(&self) -> Result<Vec<ImageSummary>, ImageError> {
        let this = self.clone();
        self.blocking(move || Ok(this.disk().records()?.iter().map(crate::disk::Record::summary).collect()))
            .await
    }

    fn listed_as(&self, reference: &str) -> String {
        Name::parse(reference).map_or_else(|_| reference.to_owned(), |name| name.short())
    }

    async fn space(&self) -> Option<DiskSpace> {
        let disk = nix::sys::statvfs::statvfs(self.disk().root()).ok()?;
        let block = disk.fragment_size();
        Some(DiskSpace {
            // What is set aside for root counts as used: nobody should live on it.
            total: (disk.blocks() - disk.blocks_free() + disk.blocks_available()).saturating_mul(block),
            available: disk.blocks_available().saturating_mul(block),
        })
    }

    async fn remove(&self, reference: &str) -> Result<(), ImageError> {
        let wanted = Wanted::parse(reference)?;
        let _one = self.locks().lock(format!("image:{}", wanted.key())).await;
        let this = self.clone();
        self.blocking(move || {
            let meant = |record: &crate::disk::Record| match &wanted {
                Wanted::Name(name) => record.reference == name.full(),
                Wanted::Digest(digest) => record.manifest == digest.as_str(),
            };
            let mut gone = false;
            for record in this.disk().records()?.into_iter().filter(meant) {
                gone |= this.disk().delete_record(&record.reference)?;
                if let Some(digest) = Digest::parse(&record.manifest) {
                    this.note_prepared(&digest, false);
                }
            }
            if gone { Ok(()) } else { Err(not_here(wanted.given())) }
        })
        .await
    }

    async fn collect_garbage(&self, digests_in_use: &[String]) -> Result<u64, ImageError> {
        let (this, in_use) = (self.clone(), digests_in_use.to_vec());
        self.blocking(move || this.collect_now(&in_use)).await
    }
}

/// Pins all content of an image.
pub(crate) fn pin(pinned: &mut crate::locks::Pinned, image: &Image) {
    pinned.add(&image.digest);
    pinned.add(&image.config);
    for layer in &image.layers {
        pinned.add(&layer.blob);
        pinned.add(&layer.diff_id);
    }
}

/// Overlayfs refuses to have a layer twice. The upper of two equal layers shows and hides all that the lower one does.
fn without_repeats(layers: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let mut kept: Vec<PathBuf> =
        layers.into_iter().rev().filter(|layer| seen.insert(layer.clone())).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_layers_the_upper_one_stays() {
        let layers = ["a", "b", "a", "c", "b"].map(PathBuf::from).to_vec();
        assert_eq!(without_repeats(layers), ["a", "c", "b"].map(PathBuf::from));
    }
}
