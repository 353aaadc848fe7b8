//! The cluster as a whole and the server that answers for it.

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;
use univrs_model::peer::PeerStatus;

use univrs_model::mesh::MeshView;

use crate::error::Error;
use crate::request::{Body, Client, Page, Reply, Request};
use crate::types::{Accepted, List};

impl Client {
    /// Members, leader, voters, versions, capacity and health.
    ///
    /// # Errors
    /// As every request.
    pub async fn cluster(&self) -> Result<Reply<Value>, Error> {
        self.get(&["api", "cluster"], &[]).await
    }

    /// Sends a program of nodes to the server.
    ///
    /// # Errors
    /// As every request.
    pub async fn send_program<S>(&self, program: S) -> Result<Reply<Value>, Error>
    where
        S: futures::TryStream<Ok = Bytes, Error = std::io::Error> + Send + 'static,
    {
        let path = ["api", "cluster", "programs"];
        let body = Body::Raw(reqwest::Body::wrap_stream(program), "application/octet-stream");
        self.send(Request { body, slow: true, ..Request::new(Method::POST, &path) }).await
    }

    /// Begins to give every node a program that was sent; with `dry_run` only plans it.
    ///
    /// # Errors
    /// As every request.
    pub async fn upgrade_cluster(&self, body: &Value, dry_run: bool) -> Result<Reply<Accepted>, Error> {
        let path = ["api", "cluster", "upgrade"];
        let query: Vec<_> = dry_run.then(|| ("dry_run", "true".to_owned())).into_iter().collect();
        let body = Body::Json(body);
        self.send(Request { query: &query, body, slow: true, ..Request::new(Method::POST, &path) }).await
    }

    /// The encrypted network between nodes, as the node that answers sees it.
    ///
    /// # Errors
    /// As every request.
    pub async fn mesh(&self) -> Result<Reply<MeshView>, Error> {
        self.get(&["api", "mesh"], &[]).await
    }

    /// The other nodes, as the node that is asked hears and reaches them.
    ///
    /// # Errors
    /// As every request.
    pub async fn peers(&self, page: &Page) -> Result<Reply<List<PeerStatus>>, Error> {
        self.get(&["api", "peers"], &page.query()).await
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
