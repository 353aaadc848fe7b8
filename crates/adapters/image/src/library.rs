//! The image store as faces use it: [`ImageLibrary`] in terms of the store's own calls.

use std::path::Path;

use async_trait::async_trait;
use univrs_ports::images::{
    Archive, ArchiveFormat, BlobState, ImageError, ImageLibrary, ImageSummary, Images, PullPolicy,
};

use crate::{ExportFormat, ImageStore};

/// How many bytes of an archive wait for a slow reader.
const EXPORT_BUFFER: usize = 256 << 10;

#[async_trait]
impl ImageLibrary for ImageStore {
    async fn pull(&self, reference: &str) -> Result<ImageSummary, ImageError> {
        let prepared = self.prepare(reference, PullPolicy::Always).await?;
        let listed = self.list().await?;
        listed.into_iter().find(|image| image.digest == prepared.digest).ok_or_else(|| ImageError::NotFound {
            reference: reference.to_owned(),
            place: "on this machine; it was removed while it was fetched".to_owned(),
        })
    }

    async fn push(&self, reference: &str, to: &str) -> Result<(), ImageError> {
        Self::push(self, reference, to).await.map(drop)
    }

    async fn import(&self, archive: Archive) -> Result<Vec<ImageSummary>, ImageError> {
        Self::import(self, archive, None).await
    }

    async fn export(&self, reference: &str, format: ArchiveFormat) -> Result<Archive, ImageError> {
        // What can be refused is refused before the first byte.
        self.prepare(reference, PullPolicy::Never).await?;
        let format = match format {
            ArchiveFormat::DockerArchive => ExportFormat::DockerArchive,
            ArchiveFormat::OciLayout => ExportFormat::OciLayout,
        };
        let (writer, reader) = tokio::io::duplex(EXPORT_BUFFER);
        let (store, reference) = (self.clone(), reference.to_owned());
        tokio::spawn(async move {
            // The reader sees a cut archive, which no tool accepts; the log says why.
            if let Err(error) = Self::export(&store, &reference, format, writer).await {
                tracing::warn!(reference, %error, "an export was cut short");
            }
        });
        Ok(Box::new(reader))
    }

    async fn blob_state(&self, digest: &str) -> Result<BlobState, ImageError> {
        Self::blob_state(self, digest).await
    }

    async fn take_blob(
        &self,
        digest: &str,
        offset: u64,
        size: u64,
        body: Archive,
    ) -> Result<BlobState, ImageError> {
        Self::take_blob(self, digest, offset, size, body).await
    }

    async fn take_manifest(&self, reference: &str, manifest: Vec<u8>) -> Result<ImageSummary, ImageError> {
        Self::take_manifest(self, reference, manifest).await
    }

    async fn pack_self(&self, reference: &str) -> Result<ImageSummary, ImageError> {
        self.self_image(reference, Path::new("/proc/self/exe")).await
    }
}
