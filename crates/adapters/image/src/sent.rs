//! Images that people send: blobs piece by piece, and then the manifest that makes an image of them.
//!
//! What was sent lies apart (`sent/`) until its manifest comes, so that the collector, which deletes what nothing names,
//! cannot take it in between. An upload that broke off goes on where it was, also after a restart.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempPath;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use univrs_ports::images::{Archive, BlobPlace, BlobState, ImageError, ImageSummary};

use crate::digest::{Digest, HashingWriter};
use crate::disk::{Disk, storage};
use crate::format::{Descriptor, Document, is_layer};
use crate::image::{Image, check_manifest, digest_in, malformed};
use crate::locks::Pinned;
use crate::peers::FromPeers;
use crate::pull::Source;
use crate::reference::Name;
use crate::store::{ImageStore, pin};

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// What no manifest named for so long goes.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// What was sent of blobs, in a folder of its own. Everything here blocks.
impl Disk {
    fn sent(&self) -> PathBuf {
        self.root().join("sent")
    }

    /// A blob that was sent whole, and checked.
    fn sent_blob(&self, digest: &Digest) -> PathBuf {
        self.sent().join(digest.hex())
    }

    /// What has come of a blob so far.
    fn sent_part(&self, digest: &Digest) -> PathBuf {
        self.sent().join(format!("{}.part", digest.hex()))
    }

    /// Deletes what was sent and has been forgotten.
    pub(crate) fn sweep_sent(&self) -> Result<u64, ImageError> {
        let folder = self.sent();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(storage(&folder, "listing what was sent")(error)),
        };
        let mut freed = 0;
        for entry in entries {
            let entry = entry.map_err(storage(&folder, "listing what was sent"))?;
            // What vanished meanwhile became part of an image.
            let Ok(data) = entry.metadata() else { continue };
            let age = data.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age > FORGOTTEN) {
                std::fs::remove_file(entry.path()).map_err(storage(&folder, "deleting what was sent"))?;
                freed += data.len();
            }
        }
        Ok(freed)
    }
}

impl ImageStore {
    /// Where a blob is, and how much of it has come.
    ///
    /// # Errors
    /// When `digest` is none.
    pub async fn blob_state(&self, digest: &str) -> Result<BlobState, ImageError> {
        let digest = digest_of(digest)?;
        if let Some(length) = self.whole(&digest) {
            return Ok(BlobState { place: BlobPlace::Here, received: length });
        }
        let received = length_of(&self.disk().sent_part(&digest)).unwrap_or(0);
        let elsewhere = match self.peers().get() {
            Some(peers) => peers.holder(digest.as_str()).await.is_some(),
            None => false,
        };
        let place = if elsewhere { BlobPlace::Elsewhere } else { BlobPlace::Nowhere };
        Ok(BlobState { place, received })
    }

    /// Takes in a piece of a blob of `size` bytes, from `offset` on. With the last piece the blob is checked.
    ///
    /// # Errors
    /// [`ImageError::Offset`] when the piece does not follow what is here, [`ImageError::DigestMismatch`] when all of it
    /// came and is something else (then it begins anew), or when the disk fails. What came before an error stays.
    pub async fn take_blob(
        &self,
        digest: &str,
        offset: u64,
        size: u64,
        mut body: Archive,
    ) -> Result<BlobState, ImageError> {
        let digest = digest_of(digest)?;
        let _one = self.locks().lock(format!("sent:{digest}")).await;
        if let Some(length) = self.whole(&digest) {
            return Ok(BlobState { place: BlobPlace::Here, received: length });
        }
        let part = self.disk().sent_part(&digest);
        let fail = || storage(&part, "writing what is sent");
        tokio::fs::create_dir_all(self.disk().sent()).await.map_err(fail())?;
        let opened = tokio::fs::OpenOptions::new().create(true).append(true).open(&part).await;
        let mut file = opened.map_err(fail())?;
        let mut received = file.seek(io::SeekFrom::End(0)).await.map_err(fail())?;
        if offset != received {
            return Err(ImageError::Offset { digest: digest.to_string(), received });
        }
        let mut buffer = vec![0; PIECE];
        let broken = loop {
            let read = match body.read(&mut buffer).await {
                Ok(0) => break None,
                Ok(read) => read,
                Err(error) => break Some(error),
            };
            received += read as u64;
            if received > size {
                drop(file);
                tokio::fs::remove_file(&part).await.map_err(fail())?;
                return Err(damaged(&digest, "size", format!("{size} bytes"), "more".to_owned()));
            }
            file.write_all(&buffer[..read]).await.map_err(fail())?;
        };
        file.flush().await.map_err(fail())?;
        drop(file);
        if let Some(error) = broken {
            let reason = format!("the sending broke off after {received} bytes: {error}");
            return Err(malformed(digest.as_str(), reason));
        }
        if received < size {
            return Ok(BlobState { place: BlobPlace::Nowhere, received });
        }
        self.check_sent(digest).await?;
        Ok(BlobState { place: BlobPlace::Here, received })
    }

    /// Makes an image of a manifest and of blobs that are here, were sent, or are on other machines, and names it.
    ///
    /// # Errors
    /// [`ImageError::Incomplete`] with what is still missing; as [`ImageStore::import_path`] otherwise.
    pub async fn take_manifest(
        &self,
        reference: &str,
        manifest: Vec<u8>,
    ) -> Result<ImageSummary, ImageError> {
        let name = Name::parse(reference)?;
        if name.digest().is_some() {
            let reason = "an image is sent under a tag, not under a digest".to_owned();
            return Err(ImageError::BadReference { reference: reference.to_owned(), reason });
        }
        let _one = self.locks().lock(format!("image:{}", name.full())).await;
        let Document::Manifest(parsed) =
            Document::parse(&manifest).map_err(|reason| malformed(reference, reason))?
        else {
            return Err(malformed(
                reference,
                "it is an index; send the manifest for the nodes' kind of machine",
            ));
        };
        let limits = &self.options().limits;
        check_manifest(reference, &parsed, limits)?;
        if let Some(layer) = parsed.layers.iter().find(|layer| !is_layer(&layer.media_type)) {
            let reason = format!("`{}` is not a layer type that can be unpacked", layer.media_type);
            return Err(malformed(reference, reason));
        }
        if parsed.config.size > limits.document_bytes {
            return Err(malformed(reference, format!("its configuration has {} bytes", parsed.config.size)));
        }
        let config = digest_in(reference, &parsed.config)?;
        let mut pinned = self.pins().hold();
        pinned.add(&Digest::of(&manifest));
        let parts: Vec<Descriptor> = std::iter::once(parsed.config).chain(parsed.layers).collect();
        self.gather(&name, &parts, &mut pinned).await?;
        let this = self.clone();
        self.blocking(move || {
            let options = this.options();
            let document = this.disk().read_document(&config, options.limits.document_bytes)?;
            let document = document.ok_or_else(|| malformed(name.given(), "its configuration vanished"))?;
            let image =
                Image::assemble(name.given(), &manifest, &document, &options.platform, &options.limits)?;
            pin(&mut pinned, &image);
            this.disk().put_document(&manifest)?;
            this.name_image(&name, &image.digest, image.size, None, None)
        })
        .await
    }

    /// Brings the parts of an image together: what was sent, and what other machines have.
    async fn gather(&self, name: &Name, parts: &[Descriptor], pinned: &mut Pinned) -> Result<(), ImageError> {
        let mut absent = Vec::new();
        for part in parts {
            let digest = digest_in(name.given(), part)?;
            // Before it is looked for: from now on the collector leaves it.
            pinned.add(&digest);
            match self.enter_sent(digest).await? {
                Some(length) if length == part.size => {}
                Some(length) => {
                    let reason = format!("{} has {length} bytes, not {}", part.digest, part.size);
                    return Err(malformed(name.given(), reason));
                }
                None if absent.iter().any(|one: &Descriptor| one.digest == part.digest) => {}
                None => absent.push(part.clone()),
            }
        }
        let mut missing = Vec::new();
        for part in absent {
            if !self.fetch_part(name, &part).await? {
                missing.push(part.digest);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(ImageError::Incomplete { reference: name.given().to_owned(), missing })
    }

    /// Fetches a part from another machine; answers whether one gave it.
    async fn fetch_part(&self, name: &Name, part: &Descriptor) -> Result<bool, ImageError> {
        let Some(peers) = self.peers().get() else { return Ok(false) };
        let Some(holder) = peers.holder(&part.digest).await else { return Ok(false) };
        let from = FromPeers::new(&**peers, vec![holder]);
        match self.download(&Source::Peers(&from), name, part, &part.digest, false).await {
            Ok(_) => Ok(true),
            Err(error @ (ImageError::Registry { .. } | ImageError::DigestMismatch { .. })) => {
                tracing::info!(reference = name.given(), %error, "another node did not give what it has; it has to be sent");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The length of a blob that is here whole.
    fn whole(&self, digest: &Digest) -> Option<u64> {
        self.disk().blob_length(digest).or_else(|| length_of(&self.disk().sent_blob(digest)))
    }

    /// Makes a blob that was sent one of the store; answers the length of the blob, if it is here.
    async fn enter_sent(&self, digest: Digest) -> Result<Option<u64>, ImageError> {
        let _one = self.locks().lock(format!("sent:{digest}")).await;
        let this = self.clone();
        self.blocking(move || {
            if let Some(length) = this.disk().blob_length(&digest) {
                return Ok(Some(length));
            }
            let sent = this.disk().sent_blob(&digest);
            let Some(length) = length_of(&sent) else { return Ok(None) };
            let path = TempPath::try_from_path(&sent).map_err(storage(&sent, "finding what was sent"))?;
            this.disk().keep_blob(path, &digest)?;
            Ok(Some(length))
        })
        .await
    }

    /// Checks a blob that has come whole.
    async fn check_sent(&self, digest: Digest) -> Result<(), ImageError> {
        let this = self.clone();
        self.blocking(move || {
            let (part, whole) = (this.disk().sent_part(&digest), this.disk().sent_blob(&digest));
            let fail = || storage(&part, "checking what was sent");
            let mut file = std::fs::File::open(&part).map_err(fail())?;
            let mut hashing = HashingWriter::new(io::sink());
            io::copy(&mut file, &mut hashing).map_err(fail())?;
            let (_, actual, _) = hashing.finish();
            if actual != digest {
                std::fs::remove_file(&part).map_err(fail())?;
                return Err(damaged(&digest, "blob", digest.to_string(), actual.to_string()));
            }
            // The name says that it was checked: it must not come to stand for less after a power cut.
            if this.disk().durable() {
                file.sync_data().map_err(fail())?;
            }
            std::fs::rename(&part, &whole).map_err(fail())
        })
        .await
    }
}

fn digest_of(text: &str) -> Result<Digest, ImageError> {
    let reason = || "`sha256:` and 64 hexadecimal digits are expected".to_owned();
    Digest::parse(text).ok_or_else(|| ImageError::BadReference {
        reference: text.chars().take(100).collect(),
        reason: reason(),
    })
}

fn length_of(path: &std::path::Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|data| data.len())
}

fn damaged(digest: &Digest, what: &str, expected: String, actual: String) -> ImageError {
    ImageError::DigestMismatch { reference: digest.to_string(), what: what.to_owned(), expected, actual }
}
