//! Nodes: everything under `/api/nodes`.

use reqwest::Method;
use serde_json::{Value, json};
use univrs_model::node::NodeView;

use crate::error::Error;
use crate::request::{Body, Client, Page, Reply, Request};
use crate::types::{Accepted, List};

impl Client {
    /// The nodes of the cluster.
    ///
    /// # Errors
    /// As every request.
    pub async fn nodes(&self, page: &Page) -> Result<Reply<List<NodeView>>, Error> {
        self.get(&["api", "nodes"], &page.query()).await
    }

    /// One node.
    ///
    /// # Errors
    /// As every request.
    pub async fn node(&self, id: &str) -> Result<Reply<NodeView>, Error> {
        self.get(&["api", "nodes", id], &[]).await
    }

    /// Changes what users say about a node(`{"labels": {"key": "value or null"}}`).
    ///
    /// # Errors
    /// As every request.
    pub async fn patch_node(&self, id: &str, patch: &Value) -> Result<Reply<NodeView>, Error> {
        let path = ["api", "nodes", id];
        self.send(Request { body: Body::Json(patch), ..Request::new(Method::PATCH, &path) }).await
    }

    /// Begins to move all instances away from a node; `deadline` is a duration such as `10m`.
    ///
    /// # Errors
    /// As every request.
    pub async fn drain_node(&self, id: &str, deadline: Option<&str>) -> Result<Reply<Accepted>, Error> {
        let path = ["api", "nodes", id, "drain"];
        let query: Vec<_> = deadline.map(|deadline| ("deadline", deadline.to_owned())).into_iter().collect();
        self.send(Request { query: &query, ..Request::new(Method::POST, &path) }).await
    }

    /// Keeps new instances away from a node.
    ///
    /// # Errors
    /// As every request.
    pub async fn cordon_node(&self, id: &str) -> Result<Reply<NodeView>, Error> {
        self.post(&["api", "nodes", id, "cordon"], &json!({})).await
    }

    /// Lets new instances come to a node again.
    ///
    /// # Errors
    /// As every request.
    pub async fn uncordon_node(&self, id: &str) -> Result<Reply<NodeView>, Error> {
        self.post(&["api", "nodes", id, "uncordon"], &json!({})).await
    }

    /// Removes a node from the cluster.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_node(&self, id: &str) -> Result<Reply<Value>, Error> {
        self.delete(&["api", "nodes", id]).await
    }
}
