//! Images from other machines of the cluster, and for them.
//!
//! What a name means is taken from who may say so; everything else is named by its digest, so that it does not matter
//! who gives it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use univrs_ports::images::{ImageError, ImagePeers};

use crate::digest::Digest;
use crate::disk::storage;
use crate::format::{Descriptor, Document};
use crate::image::{Image, Layer};
use crate::locks::Pinned;
use crate::pull::{Arrived, Source};
use crate::reference::Name;
use crate::store::{ImageStore, Wanted};

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// What stands for the registry in errors.
const PLACE: &str = "other nodes";

/// Machines that have the same image.
pub(crate) struct FromPeers<'a> {
    peers: &'a dyn ImagePeers,
    have: Vec<String>,
}

impl<'a> FromPeers<'a> {
    /// These machines, in this order.
    pub(crate) fn new(peers: &'a dyn ImagePeers, have: Vec<String>) -> Self {
        Self { peers, have }
    }

    /// Receives a blob from the first machine that has all of it.
    pub(crate) async fn receive(
        &self,
        arrived: &mut Arrived,
        name: &Name,
        descriptor: &Descriptor,
        what: &str,
    ) -> Result<(), ImageError> {
        let mut last = "nobody has it".to_owned();
        for peer in &self.have {
            match self.from(peer, arrived, descriptor).await? {
                None => return Ok(()),
                Some(reason) => last = reason,
            }
        }
        let (registry, reference) = (PLACE.to_owned(), name.given().to_owned());
        Err(ImageError::Registry { registry, reference, reason: format!("{what}: {last}") })
    }

    /// Receives a blob from one machine; answers why not, if that is the machine's fault.
    async fn from(
        &self,
        peer: &str,
        arrived: &mut Arrived,
        descriptor: &Descriptor,
    ) -> Result<Option<String>, ImageError> {
        let full = |source| ImageError::Storage { path: "tmp".into(), doing: "writing a blob", source };
        *arrived = Arrived { file: rewound(arrived).await.map_err(full)?, hasher: Default::default() };
        let mut blob = match self.peers.blob(peer, &descriptor.digest).await {
            Ok(blob) => blob,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let mut buffer = vec![0; PIECE];
        loop {
            let read = match blob.read(&mut buffer).await {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Ok(Some(error.to_string())),
            };
            arrived.hasher.update(&buffer[..read]);
            if arrived.hasher.length() > descriptor.size {
                return Ok(Some(format!("{peer} sent more than {} bytes", descriptor.size)));
            }
            arrived.file.write_all(&buffer[..read]).await.map_err(full)?;
        }
        let (actual, length) = arrived.hasher.clone().finish();
        Ok(match (length < descriptor.size, actual.to_string() == descriptor.digest) {
            (true, _) => Some(format!("{peer} sent only {length} of {} bytes", descriptor.size)),
            (false, false) => {
                Some(format!("{peer} sent other bytes: {actual} instead of {}", descriptor.digest))
            }
            (false, true) => None,
        })
    }
}

async fn rewound(arrived: &mut Arrived) -> std::io::Result<tokio::fs::File> {
    use tokio::io::AsyncSeekExt;
    let mut file = arrived.file.try_clone().await?;
    file.seek(std::io::SeekFrom::Start(0)).await?;
    file.set_len(0).await?;
    Ok(file)
}

impl ImageStore {
    /// Lets it look on other machines before it asks a registry.
    pub fn ask_peers(&self, peers: Arc<dyn ImagePeers>) {
        // Whoever set it first was meant.
        let _ = self.peers().set(peers);
    }

    /// Fetches an image from other machines, if one has it. That they fail is no error: a registry may have it too.
    pub(crate) async fn pull_from_peers(&self, name: &Name, pinned: &mut Pinned) -> Option<(Image, bool)> {
        let peers = self.peers().get()?;
        let offers = peers.offers(name.given()).await;
        let meant = |manifest: &[u8]| name.digest().is_none_or(|digest| digest == Digest::of(manifest));
        let manifest = offers.iter().find(|offer| meant(&offer.manifest))?.manifest.clone();
        let same = offers.into_iter().filter(|offer| offer.manifest == manifest);
        let from = FromPeers { peers: &**peers, have: same.map(|offer| offer.peer).collect() };
        match self.complete(&Source::Peers(&from), name, manifest, None, pinned).await {
            Ok(found) => {
                tracing::info!(
                    reference = name.given(),
                    from = from.have.first(),
                    "fetched an image from another node"
                );
                Some(found)
            }
            Err(error) => {
                tracing::info!(reference = name.given(), %error, "other nodes did not give an image; the registry is asked");
                None
            }
        }
    }

    /// The manifest of an image that is here with all its blobs as they travel, for another machine.
    ///
    /// # Errors
    /// When `reference` is none, or the disk fails.
    pub async fn offered(&self, reference: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let wanted = Wanted::parse(reference)?;
        let this = self.clone();
        self.blocking(move || {
            let Some(image) = this.find(&wanted)? else { return Ok(None) };
            let packed = |layer: &Layer| this.disk().blob_length(&layer.blob) == Some(layer.size);
            let whole = image.layers.iter().all(packed)
                && this.disk().blob_length(&image.config).is_some()
                && Document::parse(&image.manifest).is_ok();
            Ok(whole.then_some(image.manifest))
        })
        .await
    }

    /// A blob for another machine, with its length.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn blob(&self, digest: &str) -> Result<Option<(tokio::fs::File, u64)>, ImageError> {
        let Some(digest) = Digest::parse(digest) else { return Ok(None) };
        let Some(length) = self.disk().blob_length(&digest) else { return Ok(None) };
        let path = self.disk().blob(&digest);
        match tokio::fs::File::open(&path).await {
            Ok(file) => Ok(Some((file, length))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(storage(&path, "opening a blob")(error)),
        }
    }
}
