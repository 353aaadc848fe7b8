//! Images: everything under `/api/images`.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use reqwest::Method;
use serde_json::{Value, json};

use crate::error::Error;
use crate::request::{Body, Client, Page, Reply, Request};
use crate::types::{BlobState, Image, List};

impl Client {
    /// The images that the server's node holds.
    ///
    /// # Errors
    /// As every request.
    pub async fn images(&self, page: &Page) -> Result<Reply<List<Image>>, Error> {
        self.get(&["api", "images"], &page.query()).await
    }

    /// Fetches an image from its registry.
    ///
    /// # Errors
    /// As every request.
    pub async fn pull_image(&self, reference: &str) -> Result<Reply<Image>, Error> {
        self.slow_post("pull", &json!({"reference": reference})).await
    }

    /// Packs the server's own binary into an image.
    ///
    /// # Errors
    /// As every request.
    pub async fn self_image(&self, tag: Option<&str>) -> Result<Reply<Image>, Error> {
        let body = tag.map_or_else(|| json!({}), |tag| json!({"tag": tag}));
        self.slow_post("self", &body).await
    }

    /// Sends an image to a registry, under the reference `to` if one is given.
    ///
    /// # Errors
    /// As every request.
    pub async fn push_image(&self, reference: &str, to: Option<&str>) -> Result<Reply<Value>, Error> {
        let body = match to {
            Some(to) => json!({"reference": reference, "to": to}),
            None => json!({"reference": reference}),
        };
        self.slow_post("push", &body).await
    }

    /// Takes in an archive (OCI layout or `docker save`).
    ///
    /// # Errors
    /// As every request, and when reading `archive` fails.
    pub async fn import_image<S>(&self, archive: S) -> Result<Reply<Value>, Error>
    where
        S: futures::TryStream<Ok = Bytes, Error = std::io::Error> + Send + 'static,
    {
        let path = ["api", "images", "import"];
        let body = Body::Raw(reqwest::Body::wrap_stream(archive), "application/x-tar");
        self.send(Request { body, slow: true, ..Request::new(Method::POST, &path) }).await
    }

    /// Where a layer or configuration is, and how much of it has come.
    ///
    /// # Errors
    /// As every request.
    pub async fn blob(&self, digest: &str) -> Result<Reply<BlobState>, Error> {
        self.get(&["api", "images", "blobs", digest], &[]).await
    }

    /// Sends a blob of `size` bytes from `offset` on.
    ///
    /// # Errors
    /// As every request, and when reading `bytes` fails.
    pub async fn send_blob<S>(
        &self,
        digest: &str,
        offset: u64,
        size: u64,
        bytes: S,
    ) -> Result<Reply<BlobState>, Error>
    where
        S: futures::TryStream<Ok = Bytes, Error = std::io::Error> + Send + 'static,
    {
        let path = ["api", "images", "blobs", digest];
        let query = [("offset", offset.to_string()), ("size", size.to_string())];
        let body = Body::Raw(reqwest::Body::wrap_stream(bytes), "application/octet-stream");
        self.send(Request { query: &query, body, slow: true, ..Request::new(Method::PUT, &path) }).await
    }

    /// Makes an image of a manifest whose blobs were sent or are on nodes.
    ///
    /// # Errors
    /// As every request.
    pub async fn send_manifest(&self, reference: &str, manifest: Vec<u8>) -> Result<Reply<Image>, Error> {
        let path = ["api", "images", "manifest"];
        let query = [("reference", reference.to_owned())];
        let body = Body::Raw(manifest.into(), "application/octet-stream");
        self.send(Request { query: &query, body, slow: true, ..Request::new(Method::PUT, &path) }).await
    }

    /// An image as an archive of the given format (`docker-archive` or `oci-layout`).
    ///
    /// # Errors
    /// As every request.
    pub async fn export_image(
        &self,
        reference: &str,
        format: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let query = [("reference", reference.to_owned()), ("format", format.to_owned())];
        let response = self.stream(&["api", "images", "export"], &query, "application/x-tar").await?;
        let client = self.clone();
        Ok(response.bytes_stream().map_err(move |error| client.transport(error)).boxed())
    }

    /// Forgets an image.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_image(&self, reference: &str) -> Result<Reply<Value>, Error> {
        let query = [("reference", reference.to_owned())];
        self.send(Request { query: &query, ..Request::new(Method::DELETE, &["api", "images"]) }).await
    }

    async fn slow_post<T>(&self, verb: &str, body: &Value) -> Result<Reply<T>, Error> {
        let path = ["api", "images", verb];
        self.send(Request { body: Body::Json(body), slow: true, ..Request::new(Method::POST, &path) }).await
    }
}
