//! An image in the store: its documents read and checked.

use univrs_ports::images::{ImageConfig, ImageError};

use crate::digest::Digest;
use crate::disk::Disk;
use crate::format::{ConfigFile, Descriptor, Document, Manifest, is_config};
use crate::options::{Limits, Platform};

/// One layer of an image.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Position, base first, from 0.
    pub(crate) index: usize,
    /// As it travels.
    pub(crate) blob: Digest,
    /// Length of the blob.
    pub(crate) size: u64,
    /// Of the uncompressed tar stream.
    pub(crate) diff_id: Digest,
    /// As the manifest describes it.
    pub(crate) descriptor: Descriptor,
}

/// A manifest and configuration that fit together and this machine.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) digest: Digest,
    pub(crate) manifest: Vec<u8>,
    pub(crate) media_type: String,
    pub(crate) config: Digest,
    pub(crate) run: ImageConfig,
    pub(crate) layers: Vec<Layer>,
    /// Bytes of all blobs.
    pub(crate) size: u64,
}

/// An [`ImageError::Malformed`] about this reference.
pub(crate) fn malformed(reference: &str, reason: impl Into<String>) -> ImageError {
    ImageError::Malformed { reference: reference.to_owned(), reason: reason.into() }
}

/// The digest in a descriptor.
pub(crate) fn digest_in(reference: &str, descriptor: &Descriptor) -> Result<Digest, ImageError> {
    let reason =
        || format!("`{}` is not a sha256 digest", descriptor.digest.chars().take(100).collect::<String>());
    Digest::parse(&descriptor.digest).ok_or_else(|| malformed(reference, reason()))
}

/// Checks that a manifest describes a container image with a bearable number of layers.
pub(crate) fn check_manifest(
    reference: &str,
    manifest: &Manifest,
    limits: &Limits,
) -> Result<(), ImageError> {
    let config = &manifest.config;
    if !config.media_type.is_empty() && !is_config(&config.media_type) {
        return Err(malformed(
            reference,
            format!("it holds `{}` and not a container image", config.media_type),
        ));
    }
    if manifest.layers.len() > limits.layers {
        return Err(malformed(reference, format!("it has {} layers", manifest.layers.len())));
    }
    Ok(())
}

impl Image {
    /// Puts the documents together and checks them.
    pub(crate) fn assemble(
        reference: &str,
        manifest: &[u8],
        config: &[u8],
        platform: &Platform,
        limits: &Limits,
    ) -> Result<Self, ImageError> {
        let digest = Digest::of(manifest);
        let parsed = match Document::parse(manifest).map_err(|reason| malformed(reference, reason))? {
            Document::Manifest(parsed) => parsed,
            Document::Index(_) => {
                return Err(malformed(reference, "an index stands where a manifest should"));
            }
        };
        check_manifest(reference, &parsed, limits)?;
        let file: ConfigFile = serde_json::from_slice(config)
            .map_err(|error| malformed(reference, format!("its configuration cannot be read: {error}")))?;
        if let Some(theirs) = file.platform()
            && platform.suits(&theirs).is_none()
        {
            return Err(ImageError::WrongPlatform {
                reference: reference.to_owned(),
                wanted: platform.to_string(),
                available: theirs.to_string(),
            });
        }
        let diff_ids = &file.rootfs.diff_ids;
        if diff_ids.len() != parsed.layers.len() {
            let reason = format!("{} layers have {} digests", parsed.layers.len(), diff_ids.len());
            return Err(malformed(reference, reason));
        }
        let layer = |(index, (descriptor, diff_id)): (usize, (&Descriptor, &String))| {
            let wrong = || malformed(reference, format!("layer {} has no sha256 digest", index + 1));
            Ok(Layer {
                index,
                blob: digest_in(reference, descriptor)?,
                size: descriptor.size,
                diff_id: Digest::parse(diff_id).ok_or_else(wrong)?,
                descriptor: descriptor.clone(),
            })
        };
        let layers: Vec<Layer> =
            parsed.layers.iter().zip(diff_ids).enumerate().map(layer).collect::<Result<_, _>>()?;
        let blobs: u64 = layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
        Ok(Self {
            digest,
            media_type: if parsed.media_type.is_empty() {
                crate::format::OCI_MANIFEST.to_owned()
            } else {
                parsed.media_type
            },
            config: digest_in(reference, &parsed.config)?,
            run: file.config.into(),
            layers,
            size: blobs.saturating_add((manifest.len() + config.len()) as u64),
            manifest: manifest.to_owned(),
        })
    }

    /// Reads an image of the store by the digest of its manifest; `None` when a document is missing or damaged.
    pub(crate) fn load(
        disk: &Disk,
        reference: &str,
        digest: &Digest,
        platform: &Platform,
        limits: &Limits,
    ) -> Result<Option<Self>, ImageError> {
        let Some(manifest) = disk.read_document(digest, limits.document_bytes)? else { return Ok(None) };
        let Ok(Document::Manifest(parsed)) = Document::parse(&manifest) else { return Ok(None) };
        let config = digest_in(reference, &parsed.config)?;
        let Some(config) = disk.read_document(&config, limits.document_bytes)? else { return Ok(None) };
        Self::assemble(reference, &manifest, &config, platform, limits).map(Some)
    }
}
