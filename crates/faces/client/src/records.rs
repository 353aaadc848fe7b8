//! The records of administration: tokens, secrets, organisations, volumes, audit and operations.

use reqwest::Method;
use serde_json::{Value, json};
use univrs_model::operation::Operation;

use crate::error::Error;
use crate::request::{Body, Client, Page, Reply, Request};
use crate::types::{AuditRecord, List, NewToken, Org, Secret, Token, Volume};

impl Client {
    /// The API tokens.
    ///
    /// # Errors
    /// As every request.
    pub async fn tokens(&self, page: &Page) -> Result<Reply<List<Token>>, Error> {
        self.get(&["api", "tokens"], &page.query()).await
    }

    /// Makes an API token; `ttl` is a duration such as `24h`.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_token(
        &self,
        name: &str,
        grant: &str,
        ttl: Option<&str>,
    ) -> Result<Reply<NewToken>, Error> {
        let body = match ttl {
            Some(ttl) => json!({"name": name, "grant": grant, "ttl": ttl}),
            None => json!({"name": name, "grant": grant}),
        };
        self.post(&["api", "tokens"], &body).await
    }

    /// Ends an API token.
    ///
    /// # Errors
    /// As every request.
    pub async fn revoke_token(&self, id: &str) -> Result<Reply<Value>, Error> {
        self.delete(&["api", "tokens", id]).await
    }

    /// The secrets, without their values.
    ///
    /// # Errors
    /// As every request.
    pub async fn secrets(&self, page: &Page) -> Result<Reply<List<Secret>>, Error> {
        self.get(&["api", "secrets"], &page.query()).await
    }

    /// Sets the value of a secret.
    ///
    /// # Errors
    /// As every request.
    pub async fn set_secret(&self, name: &str, value: &str) -> Result<Reply<Secret>, Error> {
        let path = ["api", "secrets", name];
        let body = json!({"value": value});
        self.send(Request { body: Body::Json(&body), ..Request::new(Method::PUT, &path) }).await
    }

    /// Removes a secret.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_secret(&self, name: &str) -> Result<Reply<Value>, Error> {
        self.delete(&["api", "secrets", name]).await
    }

    /// The organisations.
    ///
    /// # Errors
    /// As every request.
    pub async fn orgs(&self, page: &Page) -> Result<Reply<List<Org>>, Error> {
        self.get(&["api", "orgs"], &page.query()).await
    }

    /// Makes an organisation.
    ///
    /// # Errors
    /// As every request.
    pub async fn create_org(&self, name: &str) -> Result<Reply<Org>, Error> {
        self.post(&["api", "orgs"], &json!({"name": name})).await
    }

    /// The volumes.
    ///
    /// # Errors
    /// As every request.
    pub async fn volumes(&self, page: &Page) -> Result<Reply<List<Volume>>, Error> {
        self.get(&["api", "volumes"], &page.query()).await
    }

    /// Removes a volume and what it holds.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_volume(&self, id: &str) -> Result<Reply<Value>, Error> {
        self.delete(&["api", "volumes", id]).await
    }

    /// Who did what.
    ///
    /// # Errors
    /// As every request.
    pub async fn audit(&self, page: &Page) -> Result<Reply<List<AuditRecord>>, Error> {
        self.get(&["api", "audit"], &page.query()).await
    }

    /// Long changes.
    ///
    /// # Errors
    /// As every request.
    pub async fn operations(&self, page: &Page) -> Result<Reply<List<Operation>>, Error> {
        self.get(&["api", "operations"], &page.query()).await
    }

    /// One long change.
    ///
    /// # Errors
    /// As every request.
    pub async fn operation(&self, id: &str) -> Result<Reply<Operation>, Error> {
        self.get(&["api", "operations", id], &[]).await
    }
}
