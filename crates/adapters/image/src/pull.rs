//! Fetching an image: manifest, configuration, layers; each checked against the digest that named it.

use std::io::SeekFrom;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use oci_client::RegistryOperation;
use oci_client::client::{BlobResponse, SizedStream};
use oci_client::errors::DigestError;
use oci_client::manifest::OciDescriptor;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use univrs_ports::images::ImageError;

use crate::digest::{Digest, Hasher};
use crate::disk::storage;
use crate::format::{
    DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Document, Index, OCI_INDEX, OCI_MANIFEST, is_layer,
};
use crate::image::{Image, check_manifest, digest_in, malformed};
use crate::locks::Pinned;
use crate::options::Platform;
use crate::peers::FromPeers;
use crate::reference::Name;
use crate::registry::{Connection, Problem, chain, problem};
use crate::store::{ImageStore, pin};

const ACCEPT: &[&str] = &[OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST];

/// Indexes inside an index are followed this deep.
const INDEX_DEPTH: usize = 3;

/// A report is made whenever this much more has arrived, and at the end.
const REPORT_EVERY: u64 = 1 << 20;

/// How far the download of one layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullProgress {
    /// The image, as it was asked for.
    pub reference: Arc<str>,
    /// The layer's digest as it travels.
    pub layer: Digest,
    /// Bytes here.
    pub done: u64,
    /// Bytes of the whole layer.
    pub total: u64,
}

impl ImageStore {
    /// Fetches what is missing of an image, names it, and answers it together with whether anything was missing.
    pub(crate) async fn pull(&self, name: &Name, pinned: &mut Pinned) -> Result<(Image, bool), ImageError> {
        let connection = self.registries().connect(name)?;
        connection.authenticate(name, RegistryOperation::Pull).await?;
        let (manifest, resolved) = self.fetch_manifest(&connection, name).await?;
        self.complete(&Source::Registry(&connection), name, manifest, resolved, pinned).await
    }

    /// Fetches what a manifest names and is not here, and gives the image its name.
    pub(crate) async fn complete(
        &self,
        source: &Source<'_>,
        name: &Name,
        manifest: Vec<u8>,
        resolved: Option<String>,
        pinned: &mut Pinned,
    ) -> Result<(Image, bool), ImageError> {
        let digest = Digest::of(&manifest);
        pinned.add(&digest);
        let mut fetched = self.disk().blob_length(&digest).is_none();
        let parsed = match Document::parse(&manifest).map_err(|reason| malformed(name.given(), reason))? {
            Document::Manifest(parsed) => parsed,
            Document::Index(_) => {
                return Err(malformed(name.given(), "its index names an index as a manifest"));
            }
        };
        let (options, given) = (self.options(), name.given());
        check_manifest(given, &parsed, &options.limits)?;
        if let Some(layer) = parsed.layers.iter().find(|layer| !is_layer(&layer.media_type)) {
            return Err(malformed(
                given,
                format!("`{}` is not a layer type that can be unpacked", layer.media_type),
            ));
        }
        if parsed.config.size > options.limits.document_bytes {
            return Err(malformed(given, format!("its configuration has {} bytes", parsed.config.size)));
        }
        let config = digest_in(given, &parsed.config)?;
        pinned.add(&config);
        fetched |= self.download(source, name, &parsed.config, "configuration", false).await?;
        let (this, reference, limit) = (self.clone(), given.to_owned(), options.limits.document_bytes);
        let image = self
            .blocking(move || {
                let document = this.disk().read_document(&config, limit)?;
                let document = document.ok_or_else(|| malformed(&reference, "its configuration vanished"))?;
                let options = this.options();
                Image::assemble(&reference, &manifest, &document, &options.platform, &options.limits)
            })
            .await?;
        pin(pinned, &image);

        let arrivals = futures::stream::iter(image.layers.clone()).map(|layer| async move {
            let what = format!("layer {}", layer.index + 1);
            let fetched = self.download(source, name, &layer.descriptor, &what, true).await?;
            self.unpack_layer(name.given(), layer).await?;
            Ok::<bool, ImageError>(fetched)
        });
        let arrivals: Vec<bool> =
            arrivals.buffer_unordered(options.concurrent_downloads.max(1)).try_collect().await?;
        fetched |= arrivals.contains(&true);

        let (this, name, named) = (self.clone(), name.clone(), image.clone());
        self.blocking(move || {
            this.disk().put_document(&named.manifest)?;
            this.name_image(&name, &named.digest, named.size, resolved, None)
        })
        .await?;
        Ok((image, fetched))
    }

    /// The manifest for this platform, and the digest of the index that led to it, if one did.
    async fn fetch_manifest(
        &self,
        connection: &Connection,
        name: &Name,
    ) -> Result<(Vec<u8>, Option<String>), ImageError> {
        let limit = self.options().limits.document_bytes;
        let mut bytes = connection.manifest(name, name.reference(), ACCEPT, limit).await?;
        check_digest(name, &bytes, name.digest().as_ref())?;
        let mut index_digest = None;
        for _ in 0..INDEX_DEPTH {
            let index = match Document::parse(&bytes).map_err(|reason| malformed(name.given(), reason))? {
                Document::Manifest(_) => return Ok((bytes, index_digest)),
                Document::Index(index) => index,
            };
            index_digest.get_or_insert_with(|| Digest::of(&bytes).to_string());
            let digest = choose(name.given(), &index, &self.options().platform)?;
            let reference = name.reference().clone_with_digest(digest.to_string());
            bytes = connection.manifest(name, &reference, ACCEPT, limit).await?;
            check_digest(name, &bytes, Some(&digest))?;
        }
        Err(malformed(name.given(), "its indexes are nested too deeply"))
    }

    /// Fetches a blob unless it is here; answers whether it was fetched.
    pub(crate) async fn download(
        &self,
        source: &Source<'_>,
        name: &Name,
        descriptor: &Descriptor,
        what: &str,
        report: bool,
    ) -> Result<bool, ImageError> {
        let digest = digest_in(name.given(), descriptor)?;
        let _one = self.locks().lock(format!("blob:{digest}")).await;
        if self.disk().blob_length(&digest) == Some(descriptor.size) {
            return Ok(false);
        }
        // The semaphore is never closed, so that it fails means nothing.
        let _slot = self.downloads().acquire().await.ok();
        let temp = self.disk().temp_file()?;
        let path = temp.path().to_owned();
        let file = temp.reopen().map_err(storage(&path, "writing a blob"))?;
        let mut arrived = Arrived { file: file.into(), hasher: Hasher::default() };
        match source {
            Source::Registry(connection) => {
                let report = report.then(|| Arc::from(name.given()));
                let download = Download::new(self, connection, name, what, descriptor, &digest, report);
                arrived = download.run(arrived).await?;
            }
            Source::Peers(source) => {
                source.receive(&mut arrived, name, descriptor, what).await?;
            }
        }
        let Arrived { mut file, hasher } = arrived;
        file.flush().await.map_err(storage(&path, "writing a blob"))?;
        drop(file);
        let (actual, _) = hasher.finish();
        if actual != digest {
            return Err(damaged(name, what, digest.to_string(), actual.to_string()));
        }
        let (this, digest) = (self.clone(), digest.clone());
        self.blocking(move || this.disk().keep_blob(temp.into_temp_path(), &digest)).await?;
        Ok(true)
    }
}

/// Where an image comes from.
pub(crate) enum Source<'a> {
    Registry(&'a Connection),
    Peers(&'a FromPeers<'a>),
}

/// That a part of an image is not what it should be.
fn damaged(name: &Name, what: &str, expected: String, actual: String) -> ImageError {
    ImageError::DigestMismatch { reference: name.given().to_owned(), what: what.to_owned(), expected, actual }
}

/// What has come of a blob so far.
pub(crate) struct Arrived {
    pub(crate) file: tokio::fs::File,
    pub(crate) hasher: Hasher,
}

struct Download<'a> {
    store: &'a ImageStore,
    connection: &'a Connection,
    name: &'a Name,
    what: &'a str,
    descriptor: &'a Descriptor,
    source: OciDescriptor,
    digest: &'a Digest,
    report: Option<Arc<str>>,
}

impl<'a> Download<'a> {
    fn new(
        store: &'a ImageStore,
        connection: &'a Connection,
        name: &'a Name,
        what: &'a str,
        descriptor: &'a Descriptor,
        digest: &'a Digest,
        report: Option<Arc<str>>,
    ) -> Self {
        let source = OciDescriptor {
            digest: descriptor.digest.clone(),
            urls: (!descriptor.urls.is_empty()).then(|| descriptor.urls.clone()),
            ..OciDescriptor::default()
        };
        Self { store, connection, name, what, descriptor, source, digest, report }
    }

    /// Receives all of it, in as many attempts as the connection makes.
    async fn run(&self, arrived: Arrived) -> Result<Arrived, ImageError> {
        let state = tokio::sync::Mutex::new(arrived);
        let done = self.connection.retry(|| async { self.go_on(&mut *state.lock().await).await }).await;
        done.map_err(|error| match error {
            // The manifest was there, so what is missing is a part and not the image.
            ImageError::NotFound { reference, .. } => ImageError::Registry {
                registry: self.name.registry().to_owned(),
                reference,
                reason: format!("{} is missing there", self.what),
            },
            other => other,
        })?;
        Ok(state.into_inner())
    }

    fn damaged(&self, expected: String, actual: String) -> ImageError {
        damaged(self.name, self.what, expected, actual)
    }

    /// The stream of what is still missing.
    async fn open(&self, arrived: &mut Arrived) -> Result<SizedStream, Problem> {
        let client = &self.connection.client;
        let reference = self.name.reference();
        let fail = |error| problem(self.name, self.what, error);
        let offset = arrived.hasher.length();
        if offset > 0 {
            match client
                .pull_blob_stream_partial(reference, &self.source, offset, None)
                .await
                .map_err(fail)?
            {
                BlobResponse::Partial(stream) => return Ok(stream),
                BlobResponse::Full(stream) => {
                    self.start_over(arrived).await?;
                    return Ok(stream);
                }
            }
        }
        client.pull_blob_stream(reference, &self.source).await.map_err(fail)
    }

    async fn start_over(&self, arrived: &mut Arrived) -> Result<(), ImageError> {
        arrived.hasher = Hasher::default();
        let fail = || storage(self.store.disk().root(), "rewinding a blob");
        arrived.file.seek(SeekFrom::Start(0)).await.map_err(fail())?;
        arrived.file.set_len(0).await.map_err(fail())
    }

    /// Receives from where the last attempt ended.
    async fn go_on(&self, arrived: &mut Arrived) -> Result<(), Problem> {
        let total = self.descriptor.size;
        let mut stream = self.open(arrived).await?;
        let mut reported = arrived.hasher.length();
        while let Some(chunk) = stream.stream.next().await {
            let chunk = chunk.map_err(|error| self.broken(&error))?;
            arrived.hasher.update(&chunk);
            let done = arrived.hasher.length();
            if done > total {
                return Err(self.damaged(format!("{total} bytes"), "more".to_owned()).into());
            }
            arrived
                .file
                .write_all(&chunk)
                .await
                .map_err(storage(self.store.disk().root(), "writing a blob"))?;
            if done - reported >= REPORT_EVERY || done == total {
                reported = done;
                self.tell(done);
            }
        }
        match arrived.hasher.length() {
            done if done == total => Ok(()),
            done => {
                let error = self.damaged(format!("{total} bytes"), format!("{done} bytes"));
                Err(Problem { error, again: true })
            }
        }
    }

    /// What an error in the middle of a stream means.
    fn broken(&self, error: &std::io::Error) -> Problem {
        let source = error.get_ref().and_then(|source| source.downcast_ref::<DigestError>());
        if let Some(DigestError::VerificationError { expected, actual }) = source {
            return self.damaged(expected.clone(), actual.clone()).into();
        }
        Problem {
            error: ImageError::Registry {
                registry: self.name.registry().to_owned(),
                reference: self.name.given().to_owned(),
                reason: format!("{}: {}", self.what, chain(error)),
            },
            again: true,
        }
    }

    fn tell(&self, done: u64) {
        if let Some(reference) = &self.report {
            let (reference, layer) = (Arc::clone(reference), self.digest.clone());
            self.store.report(PullProgress { reference, layer, done, total: self.descriptor.size });
        }
    }
}

fn check_digest(name: &Name, bytes: &[u8], expected: Option<&Digest>) -> Result<(), ImageError> {
    let actual = Digest::of(bytes);
    match expected {
        Some(expected) if *expected != actual => Err(ImageError::DigestMismatch {
            reference: name.given().to_owned(),
            what: "manifest".to_owned(),
            expected: expected.to_string(),
            actual: actual.to_string(),
        }),
        _ => Ok(()),
    }
}

/// The entry of an index that suits this machine best.
pub(crate) fn choose(reference: &str, index: &Index, platform: &Platform) -> Result<Digest, ImageError> {
    let platform_of = |entry: &Descriptor| entry.platform.as_ref().map(Platform::from);
    let fit = |entry: &Descriptor| match platform_of(entry) {
        Some(theirs) => platform.suits(&theirs),
        // An entry that does not say is taken at its manifest's word, after all others.
        None => Some(0),
    };
    let best = index
        .manifests
        .iter()
        .enumerate()
        .filter_map(|(position, entry)| Some(((fit(entry)?, std::cmp::Reverse(position)), entry)))
        .max_by_key(|(rank, _)| *rank);
    if let Some((_, entry)) = best {
        return digest_in(reference, entry);
    }
    // Attestations and the like are listed as being for an unknown platform.
    let mut available: Vec<String> = index
        .manifests
        .iter()
        .filter_map(platform_of)
        .filter(|platform| platform.os != "unknown")
        .map(|platform| platform.to_string())
        .collect();
    available.dedup();
    Err(ImageError::WrongPlatform {
        reference: reference.to_owned(),
        wanted: platform.to_string(),
        available: if available.is_empty() { "none".to_owned() } else { available.join(", ") },
    })
}
