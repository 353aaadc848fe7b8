//! Secrets: everything under `/api/secrets`. Values go in and never come out.

use reqwest::Method;
use serde_json::{Value, json};
use univrs_model::secret::SecretView;

use crate::error::Error;
use crate::request::{Body, Client, Page, Reply, Request};
use crate::types::List;

impl Client {
    /// The secrets, without their values.
    ///
    /// # Errors
    /// As every request.
    pub async fn secrets(&self, page: &Page) -> Result<Reply<List<SecretView>>, Error> {
        self.get(&["api", "secrets"], &page.query()).await
    }

    /// Sets a secret to a text.
    ///
    /// # Errors
    /// As every request.
    pub async fn set_secret(&self, name: &str, value: &str) -> Result<Reply<SecretView>, Error> {
        self.put_secret(name, &json!({ "value": value })).await
    }

    /// Sets a secret to bytes that are given as base64.
    ///
    /// # Errors
    /// As every request.
    pub async fn set_secret_base64(&self, name: &str, value: &str) -> Result<Reply<SecretView>, Error> {
        self.put_secret(name, &json!({ "base64": value })).await
    }

    /// Removes a secret; with `force` also one that workloads use.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_secret(&self, name: &str, force: bool) -> Result<Reply<Value>, Error> {
        let query = [("force", "true".to_owned())];
        let query = if force { &query[..] } else { &[] };
        self.send(Request { query, ..Request::new(Method::DELETE, &["api", "secrets", name]) }).await
    }

    async fn put_secret(&self, name: &str, body: &Value) -> Result<Reply<SecretView>, Error> {
        let path = ["api", "secrets", name];
        self.send(Request { body: Body::Json(body), ..Request::new(Method::PUT, &path) }).await
    }
}
