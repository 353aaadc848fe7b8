//! Taking images over from archives: what `docker save` writes, and OCI layouts.

use std::fs::File;
use std::path::Path;

use serde::Deserialize;
use tokio::io::AsyncRead;
use tokio_util::io::SyncIoBridge;
use univrs_ports::images::{ImageError, ImageSummary};

use crate::digest::Digest;
use crate::disk::storage;
use crate::format::{
    ConfigFile, Descriptor, Document, Index, Manifest, OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD,
    OCI_MANIFEST,
};
use crate::image::{Image, check_manifest, digest_in, malformed};
use crate::locks::Pinned;
use crate::members::{Members, Stored};
use crate::pack::describe;
use crate::pull::choose;
use crate::reference::Name;
use crate::store::ImageStore;
use crate::unpack::{Compression, decompressed, decompressed_stream};

/// Indexes inside an index are followed this deep.
const INDEX_DEPTH: usize = 3;

/// One image in the `manifest.json` of `docker save`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// An image whose content is in the store and that waits for its names.
struct Arrived {
    names: Vec<Name>,
    image: Image,
}

impl ImageStore {
    /// Takes over the images in a file or directory: an archive as `docker save` writes it or an OCI layout, either
    /// packed, also with gzip or zstd, or as a directory. With `tag`, the archive's one image gets that name instead of
    /// its own.
    ///
    /// # Errors
    /// When the archive is damaged, is for other machines, or holds no image with a name.
    pub async fn import_path(&self, path: &Path, tag: Option<&str>) -> Result<Vec<ImageSummary>, ImageError> {
        let tag = tag.map(Name::parse).transpose()?;
        let (this, path) = (self.clone(), path.to_owned());
        self.blocking(move || {
            let shown = path.display().to_string();
            let fail = || storage(&path, "reading an archive");
            let members = if path.is_dir() {
                Members::folder(this.disk(), &shown, &path)
            } else {
                let file = File::open(&path).map_err(fail())?;
                let stream = decompressed(file).map_err(fail())?;
                Members::spool(this.disk(), &shown, stream, &this.options().limits)?
            };
            this.import_members(members, &shown, tag)
        })
        .await
    }

    /// As [`Self::import_path`], from a stream.
    ///
    /// # Errors
    /// As [`Self::import_path`].
    pub async fn import<R>(&self, stream: R, tag: Option<&str>) -> Result<Vec<ImageSummary>, ImageError>
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let tag = tag.map(Name::parse).transpose()?;
        let this = self.clone();
        let bridge = SyncIoBridge::new(stream);
        self.blocking(move || {
            let shown = tag.as_ref().map_or("archive", Name::given).to_owned();
            let unreadable = |error| malformed(&shown, format!("the archive cannot be read: {error}"));
            let stream = decompressed_stream(bridge).map_err(unreadable)?;
            let members = Members::spool(this.disk(), &shown, stream, &this.options().limits)?;
            this.import_members(members, &shown, tag)
        })
        .await
    }

    fn import_members(
        &self,
        mut members: Members<'_>,
        shown: &str,
        tag: Option<Name>,
    ) -> Result<Vec<ImageSummary>, ImageError> {
        let mut pinned = self.pins().hold();
        let mut arrived = Vec::new();
        if members.has("index.json") {
            arrived = self.import_layout(&mut members, shown, &mut pinned)?;
        }
        // Newer archives are both; the layout keeps digests, but may lack the names.
        if arrived.iter().all(|one| one.names.is_empty()) && tag.is_none() && members.has("manifest.json") {
            arrived.clear();
        }
        if arrived.is_empty() && members.has("manifest.json") {
            arrived = self.import_saved(&mut members, shown, &mut pinned)?;
        }
        if let Some(tag) = tag {
            match arrived.as_mut_slice() {
                [one] => one.names = vec![tag],
                several => {
                    let reason = format!("one name was given and the archive holds {} images", several.len());
                    return Err(malformed(shown, reason));
                }
            }
        }
        let mut summaries = Vec::new();
        for Arrived { names, image } in arrived {
            for name in names {
                summaries.push(self.name_image(&name, &image.digest, image.size, None, None)?);
            }
        }
        if summaries.is_empty() {
            return Err(malformed(shown, "the archive holds no image with a name; give one"));
        }
        Ok(summaries)
    }

    fn import_layout(
        &self,
        members: &mut Members<'_>,
        shown: &str,
        pinned: &mut Pinned,
    ) -> Result<Vec<Arrived>, ImageError> {
        let limits = &self.options().limits;
        let index: Index = serde_json::from_slice(&members.read("index.json", limits.document_bytes)?)
            .map_err(|error| malformed(shown, format!("its index cannot be read: {error}")))?;
        let mut arrived = Vec::new();
        for entry in &index.manifests {
            let digest = self.layout_manifest(members, shown, entry)?;
            let manifest = members.read(&blob_name(&digest), limits.document_bytes)?;
            expect(shown, "manifest", &digest, &Digest::of(&manifest))?;
            let Document::Manifest(parsed) =
                Document::parse(&manifest).map_err(|reason| malformed(shown, reason))?
            else {
                return Err(malformed(shown, "its indexes are nested too deeply"));
            };
            check_manifest(shown, &parsed, limits)?;
            for part in std::iter::once(&parsed.config).chain(&parsed.layers) {
                let digest = digest_in(shown, part)?;
                let stored = members.store(&blob_name(&digest), pinned)?;
                expect(shown, "blob", &digest, &stored.digest)?;
            }
            let config =
                members.read(&blob_name(&digest_in(shown, &parsed.config)?), limits.document_bytes)?;
            let image = self.keep(shown, &manifest, &config, pinned)?;
            arrived.push(Arrived { names: names_of(entry), image });
        }
        Ok(arrived)
    }

    /// The manifest that an entry of a layout's index leads to, through further indexes if need be.
    fn layout_manifest(
        &self,
        members: &Members<'_>,
        shown: &str,
        entry: &Descriptor,
    ) -> Result<Digest, ImageError> {
        let mut digest = digest_in(shown, entry)?;
        for _ in 0..INDEX_DEPTH {
            let bytes = members.read(&blob_name(&digest), self.options().limits.document_bytes)?;
            match Document::parse(&bytes).map_err(|reason| malformed(shown, reason))? {
                Document::Manifest(_) => break,
                Document::Index(index) => {
                    expect(shown, "index", &digest, &Digest::of(&bytes))?;
                    digest = choose(shown, &index, &self.options().platform)?;
                }
            }
        }
        Ok(digest)
    }

    fn import_saved(
        &self,
        members: &mut Members<'_>,
        shown: &str,
        pinned: &mut Pinned,
    ) -> Result<Vec<Arrived>, ImageError> {
        let limits = &self.options().limits;
        let wrong = |what: &str, error: serde_json::Error| {
            malformed(shown, format!("its {what} cannot be read: {error}"))
        };
        let saved: Vec<Saved> =
            serde_json::from_slice(&members.read("manifest.json", limits.document_bytes)?)
                .map_err(|error| wrong("list of images", error))?;
        let mut arrived = Vec::new();
        for one in saved {
            let config = members.read(&one.config, limits.document_bytes)?;
            let file: ConfigFile =
                serde_json::from_slice(&config).map_err(|error| wrong("configuration", error))?;
            let (names, diff_ids) = (one.layers.unwrap_or_default(), &file.rootfs.diff_ids);
            if names.len() != diff_ids.len() {
                return Err(malformed(
                    shown,
                    format!("{} layers have {} digests", names.len(), diff_ids.len()),
                ));
            }
            let mut layers = Vec::new();
            for (name, diff_id) in names.iter().zip(diff_ids) {
                let Stored { digest, size, compression } = members.store(name, pinned)?;
                let media_type = match compression {
                    Compression::Plain => OCI_LAYER,
                    Compression::Gzip => OCI_LAYER_GZIP,
                    Compression::Zstd => OCI_LAYER_ZSTD,
                };
                // A compressed layer is compared with its uncompressed digest when it is unpacked.
                if compression == Compression::Plain && digest.as_str() != diff_id {
                    return Err(mismatch(shown, "layer", diff_id, digest.as_str()));
                }
                layers.push(describe(media_type, &digest, size));
            }
            let digest = Digest::of(&config);
            pinned.add(&digest);
            self.disk().put_document(&config)?;
            let manifest = Manifest {
                schema_version: 2,
                media_type: OCI_MANIFEST.to_owned(),
                config: describe(OCI_CONFIG, &digest, config.len() as u64),
                layers,
            };
            let manifest = serde_json::to_vec(&manifest).map_err(|error| wrong("manifest", error))?;
            let image = self.keep(shown, &manifest, &config, pinned)?;
            let tags = one.repo_tags.unwrap_or_default();
            let names = tags.iter().map(|tag| Name::parse(tag)).collect::<Result<_, _>>()?;
            arrived.push(Arrived { names, image });
        }
        Ok(arrived)
    }

    /// Checks that an image fits together and this machine, and keeps its manifest.
    fn keep(
        &self,
        shown: &str,
        manifest: &[u8],
        config: &[u8],
        pinned: &mut Pinned,
    ) -> Result<Image, ImageError> {
        let options = self.options();
        let image = Image::assemble(shown, manifest, config, &options.platform, &options.limits)?;
        pinned.add(&image.digest);
        self.disk().put_document(manifest)?;
        Ok(image)
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn mismatch(shown: &str, what: &str, expected: &str, actual: &str) -> ImageError {
    ImageError::DigestMismatch {
        reference: shown.to_owned(),
        what: what.to_owned(),
        expected: expected.to_owned(),
        actual: actual.to_owned(),
    }
}

fn expect(shown: &str, what: &str, expected: &Digest, actual: &Digest) -> Result<(), ImageError> {
    if expected == actual { Ok(()) } else { Err(mismatch(shown, what, expected.as_str(), actual.as_str())) }
}

/// The names that an entry of an index carries: in full as containerd writes it, or in part.
fn names_of(entry: &Descriptor) -> Vec<Name> {
    if let Some(full) = entry.annotations.get("io.containerd.image.name") {
        return Name::parse(full).into_iter().collect();
    }
    // Many tools write the tag alone here, which names no image.
    let text = entry.annotations.get("org.opencontainers.image.ref.name");
    text.filter(|text| text.contains([':', '/']))
        .and_then(|text| Name::parse(text).ok())
        .into_iter()
        .collect()
}
