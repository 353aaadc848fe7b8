//! Volumes: everything under `/api/volumes`.

use reqwest::Method;
use univrs_model::volume::VolumeView;

use crate::error::Error;
use crate::request::{Client, Page, Reply, Request};
use crate::types::List;

impl Client {
    /// The volumes.
    ///
    /// # Errors
    /// As every request.
    pub async fn volumes(&self, page: &Page) -> Result<Reply<List<VolumeView>>, Error> {
        self.get(&["api", "volumes"], &page.query()).await
    }

    /// Asks for a volume to be removed with what it holds.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_volume(&self, id: &str) -> Result<Reply<VolumeView>, Error> {
        self.send(Request::new(Method::DELETE, &["api", "volumes", id])).await
    }
}
