//! The cluster as a whole and the server that answers for it.

use serde_json::Value;

use univrs_model::mesh::MeshView;

use crate::error::Error;
use crate::request::{Client, Reply};

impl Client {
    /// Members, leader, voters, versions, capacity and health.
    ///
    /// # Errors
    /// As every request.
    pub async fn cluster(&self) -> Result<Reply<Value>, Error> {
        self.get(&["api", "cluster"], &[]).await
    }

    /// The encrypted network between nodes, as the node that answers sees it.
    ///
    /// # Errors
    /// As every request.
    pub async fn mesh(&self) -> Result<Reply<MeshView>, Error> {
        self.get(&["api", "mesh"], &[]).await
    }

    /// The description of the API in the OpenAPI format.
    ///
    /// # Errors
    /// As every request.
    pub async fn openapi(&self) -> Result<Reply<Value>, Error> {
        self.get(&["api", "openapi.json"], &[]).await
    }

    /// Whether the server lives. The reply is plain text.
    ///
    /// # Errors
    /// As every request.
    pub async fn healthz(&self) -> Result<(), Error> {
        self.get::<Value>(&["healthz"], &[]).await.map(|_| ())
    }
}
