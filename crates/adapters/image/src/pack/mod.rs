//! Making images from files, without a builder and without Docker.
//!
//! An image packed here depends on nothing but its files and configuration: names are sorted, times are zero, owners are
//! root. So the same content has the same digest everywhere, and packing it again changes nothing.

mod archive;
mod elf;
mod program;

pub use program::SELF_TAG;

use std::path::PathBuf;

use univrs_ports::images::{ImageConfig, ImageError, ImageSummary};

use crate::digest::Digest;
use crate::disk::Record;
use crate::format::{
    ConfigFile, Descriptor, Manifest, OCI_CONFIG, OCI_LAYER, OCI_LAYER_ZSTD, OCI_MANIFEST, RootFs,
};
use crate::reference::Name;
use crate::store::ImageStore;

/// A file of an image being packed.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// Where it is in the image, such as `/bin/sh`.
    pub path: String,
    /// Permissions, such as `0o755`.
    pub mode: u32,
    /// What it is.
    pub content: FileContent,
}

/// What a packed file is.
#[derive(Clone, Debug)]
pub enum FileContent {
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// A file with the bytes of this file of the host; links are followed.
    Host(PathBuf),
    /// A directory; parents of other entries need not be named.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
}

impl FileEntry {
    /// A file with these bytes.
    pub fn bytes(path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode, content: FileContent::Bytes(bytes.into()) }
    }

    /// A copy of a file of the host.
    pub fn host(path: impl Into<String>, mode: u32, from: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode, content: FileContent::Host(from.into()) }
    }

    /// A directory.
    pub fn directory(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, content: FileContent::Directory }
    }

    /// A symbolic link.
    pub fn symlink(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self { path: path.into(), mode: 0o777, content: FileContent::Symlink(target.into()) }
    }
}

/// The time that packed images claim to be from, so that equal content stays equal.
const EPOCH: &str = "1970-01-01T00:00:00Z";

impl ImageStore {
    /// Packs `files` into an image of one layer and names it `tag`.
    ///
    /// # Errors
    /// When a name is malformed, a file of the host cannot be read, or the store cannot be written.
    pub async fn build(
        &self,
        tag: &str,
        files: Vec<FileEntry>,
        config: ImageConfig,
    ) -> Result<ImageSummary, ImageError> {
        let name = Name::parse(tag)?;
        let _one = self.locks().lock(format!("image:{}", name.full())).await;
        let this = self.clone();
        self.blocking(move || this.build_now(&name, &files, config, None)).await
    }

    pub(crate) fn build_now(
        &self,
        name: &Name,
        files: &[FileEntry],
        config: ImageConfig,
        source: Option<String>,
    ) -> Result<ImageSummary, ImageError> {
        let disk = self.disk();
        let packed = archive::pack(disk, self.options().packing, name.given(), files)?;
        let mut pinned = self.pins().hold();
        pinned.add(&packed.blob);
        if disk.blob_length(&packed.blob) != Some(packed.size) {
            disk.keep_blob(packed.file.into_temp_path(), &packed.blob)?;
        }
        let layer_type = if packed.blob == packed.diff_id { OCI_LAYER } else { OCI_LAYER_ZSTD };
        let layer = describe(layer_type, &packed.blob, packed.size);
        self.publish(name, config, &[(layer, packed.diff_id)], source)
    }

    /// Writes configuration, manifest and reference for layers whose blobs are in the store.
    fn publish(
        &self,
        name: &Name,
        config: ImageConfig,
        layers: &[(Descriptor, Digest)],
        source: Option<String>,
    ) -> Result<ImageSummary, ImageError> {
        let disk = self.disk();
        let mut pinned = self.pins().hold();
        let platform = &self.options().platform;
        let file = ConfigFile {
            created: Some(EPOCH.to_owned()),
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            config: config.into(),
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: layers.iter().map(|(_, diff_id)| diff_id.to_string()).collect(),
            },
        };
        let unwritable =
            |error: serde_json::Error| crate::disk::storage(disk.root(), "encoding a document")(error.into());
        let file = serde_json::to_vec(&file).map_err(unwritable)?;
        pinned.add(&Digest::of(&file));
        let config = disk.put_document(&file)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: OCI_MANIFEST.to_owned(),
            config: describe(OCI_CONFIG, &config, file.len() as u64),
            layers: layers.iter().map(|(descriptor, _)| descriptor.clone()).collect(),
        };
        let manifest = serde_json::to_vec(&manifest).map_err(unwritable)?;
        pinned.add(&Digest::of(&manifest));
        let digest = disk.put_document(&manifest)?;
        let blobs: u64 = layers.iter().map(|(layer, _)| layer.size).sum();
        let size = blobs + (file.len() + manifest.len()) as u64;
        self.name_image(name, &digest, size, None, source)
    }

    /// Points a reference to a manifest of the store, unless it does already.
    pub(crate) fn name_image(
        &self,
        name: &Name,
        digest: &Digest,
        size: u64,
        resolved: Option<String>,
        source: Option<String>,
    ) -> Result<ImageSummary, ImageError> {
        let full = name.full();
        let known = self.disk().record(&full)?.filter(|known| known.manifest == digest.as_str());
        if let Some(known) =
            known.as_ref().filter(|known| known.source == source && known.resolved == resolved)
        {
            return Ok(known.summary());
        }
        let record = Record {
            reference: full,
            manifest: digest.to_string(),
            resolved,
            size,
            created_at: known.map_or_else(jiff::Timestamp::now, |known| known.created_at),
            source,
        };
        self.disk().put_record(&record)?;
        Ok(record.summary())
    }
}

/// A descriptor of this content.
pub(crate) fn describe(media_type: &str, digest: &Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_string(),
        size,
        ..Descriptor::default()
    }
}
