//! Sending an image to a registry.

use futures::{StreamExt, TryStreamExt};
use http::HeaderValue;
use oci_client::RegistryOperation;
use oci_client::errors::OciDistributionError;
use tokio_util::io::ReaderStream;
use univrs_ports::images::ImageError;

use crate::digest::Digest;
use crate::disk::storage;
use crate::image::malformed;
use crate::reference::Name;
use crate::registry::{Connection, problem};
use crate::store::{ImageStore, Wanted, not_here, pin};

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the manifest.
    pub digest: String,
    /// Blobs that were sent.
    pub uploaded: usize,
    /// Blobs that the registry had.
    pub present: usize,
}

impl ImageStore {
    /// Sends the image `reference` of this store to a registry under the name `to`; blobs that are there are not sent.
    ///
    /// # Errors
    /// When the image is not here in full, or the registry refuses or fails.
    pub async fn push(&self, reference: &str, to: &str) -> Result<Pushed, ImageError> {
        let wanted = Wanted::parse(reference)?;
        let to = Name::parse(to)?;
        if to.digest().is_some() {
            let reason = "an image is pushed to a tag, not to a digest".to_owned();
            return Err(ImageError::BadReference { reference: to.given().to_owned(), reason });
        }
        let mut pinned = self.pins().hold();
        let this = self.clone();
        let image = self.blocking(move || this.find(&wanted)).await?.ok_or_else(|| not_here(reference))?;
        pin(&mut pinned, &image);
        let connection = self.registries().connect(&to)?;
        connection.authenticate(&to, RegistryOperation::Push).await?;
        let mut blobs: Vec<Digest> = image.layers.iter().map(|layer| layer.blob.clone()).collect();
        blobs.sort();
        blobs.dedup();
        let (connection, to) = (&connection, &to);
        let uploads = futures::stream::iter(blobs)
            .map(|blob| self.upload(connection, to, blob))
            .buffer_unordered(self.options().concurrent_downloads.max(1));
        let mut sent: Vec<bool> = uploads.try_collect().await?;
        sent.push(self.upload(connection, to, image.config.clone()).await?);
        let media_type = HeaderValue::from_str(&image.media_type)
            .map_err(|_| malformed(reference, format!("`{}` is not a media type", image.media_type)))?;
        let once = || async {
            let (client, manifest) = (&connection.client, image.manifest.clone());
            let done = client.push_manifest_raw(to.reference(), manifest, media_type.clone()).await;
            done.map_err(|error| problem(to, "the manifest", error))
        };
        connection.retry(once).await?;
        let uploaded = sent.iter().filter(|sent| **sent).count();
        Ok(Pushed { digest: image.digest.to_string(), uploaded, present: sent.len() - uploaded })
    }

    /// Sends a blob unless it is there; answers whether it was sent.
    async fn upload(&self, connection: &Connection, to: &Name, blob: Digest) -> Result<bool, ImageError> {
        let path = self.disk().blob(&blob);
        let (client, what) = (&connection.client, format!("blob {blob}"));
        let once = || async {
            let fail = |error| problem(to, &what, error);
            if client.blob_exists(to.reference(), blob.as_str()).await.map_err(fail)? {
                return Ok(false);
            }
            let file = tokio::fs::File::open(&path).await.map_err(storage(&path, "reading a blob"))?;
            let length = file.metadata().await.map_err(storage(&path, "reading a blob"))?.len();
            let stream = ReaderStream::with_capacity(file, 256 * 1024).map_err(OciDistributionError::from);
            client
                .push_blob_stream(to.reference(), stream, blob.as_str(), Some(length))
                .await
                .map_err(fail)?;
            Ok(true)
        };
        connection.retry(once).await
    }
}
