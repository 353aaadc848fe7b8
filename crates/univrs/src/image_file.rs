//! Files of images as `univrs image push` sends them: taken apart in an image store of their own, which goes afterwards.

use std::io::{self, SeekFrom};
use std::path::Path;

use async_trait::async_trait;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncSeekExt};
use univrs_cli::{FiledImage, ImageFile, ImageFiles};
use univrs_image::{ImageStore, Options};

/// Opens files of images.
pub(crate) struct Files;

/// A file that was opened.
struct Opened {
    store: ImageStore,
    images: Vec<FiledImage>,
    /// Where the store is, for as long as it is needed.
    _dir: TempDir,
}

/// What a manifest names, of which more is not needed here.
#[derive(Deserialize)]
struct Manifest {
    config: Part,
    #[serde(default)]
    layers: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    digest: String,
    size: u64,
}

#[async_trait]
impl ImageFiles for Files {
    async fn open(&self, file: &str, name: Option<&str>) -> Result<Box<dyn ImageFile>, String> {
        open(file, name).await.map(|opened| Box::new(opened) as _).map_err(|error| {
            let causes =
                std::iter::successors(Some(&*error as &dyn std::error::Error), |error| error.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        })
    }
}

async fn open(file: &str, name: Option<&str>) -> Result<Opened, Box<dyn std::error::Error + Send + Sync>> {
    let dir = tempfile::tempdir()?;
    let store = ImageStore::open(dir.path(), Options { durable: false, ..Options::default() })?;
    let listed = match file {
        "-" => store.import(tokio::io::stdin(), name).await?,
        file => store.import_path(Path::new(file), name).await?,
    };
    let mut images = Vec::new();
    for image in listed {
        let manifest = store.offered(&image.reference).await?.ok_or("it vanished while it was read")?;
        let parts: Manifest = serde_json::from_slice(&manifest)?;
        let mut blobs: Vec<(String, u64)> = Vec::new();
        for part in std::iter::once(parts.config).chain(parts.layers) {
            if blobs.iter().all(|(digest, _)| *digest != part.digest) {
                blobs.push((part.digest, part.size));
            }
        }
        images.push(FiledImage { reference: image.reference, manifest, blobs });
    }
    Ok(Opened { store, images, _dir: dir })
}

#[async_trait]
impl ImageFile for Opened {
    fn images(&self) -> &[FiledImage] {
        &self.images
    }

    async fn blob(&self, digest: &str, offset: u64) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
        let blob = self.store.blob(digest).await.map_err(io::Error::other)?;
        let (mut blob, _) = blob.ok_or(io::ErrorKind::NotFound)?;
        blob.seek(SeekFrom::Start(offset)).await?;
        Ok(Box::new(blob))
    }
}
