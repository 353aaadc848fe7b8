//! Requests as they are, for programs that speak the API themselves: nothing is added, repeated or interpreted.

use reqwest::Method;
use reqwest::header::{ACCEPT, IF_MATCH};
use serde_json::Value;

use crate::error::Error;
use crate::request::Client;

/// A request of the API.
#[derive(Clone, Copy, Debug)]
pub struct RawRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as segments, unescaped.
    pub path: &'a [&'a str],
    /// The query, unescaped.
    pub query: &'a [(&'static str, String)],
    /// The JSON body, if there is one.
    pub body: Option<&'a Value>,
    /// The revision that the object must still have.
    pub if_revision: Option<u64>,
    /// The mode of an AI operator (`observe`, `operate`, `admin`) that the caller is held to.
    pub mode: Option<&'a str>,
}

/// What the server answered, whether it did what was asked or not.
#[derive(Clone, Debug)]
pub struct RawReply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Client {
    /// Sends a request once. A refusal is a reply.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer in time.
    pub async fn raw(&self, request: RawRequest<'_>) -> Result<RawReply, Error> {
        let url = self.url(request.path, request.query)?;
        let builder =
            self.builder(request.method, &url).timeout(self.quick()).header(ACCEPT, "application/json");
        let builder = match request.if_revision {
            Some(revision) => builder.header(IF_MATCH, format!("\"{revision}\"")),
            None => builder,
        };
        let builder = match request.mode {
            Some(mode) => builder.header("x-univrs-mode", mode),
            None => builder,
        };
        let builder = match request.body {
            Some(body) => builder.json(body),
            None => builder,
        };
        let response = self.dispatch(builder).await?;
        let status = response.status().as_u16();
        let body = response.text().await.map_err(|error| self.transport(error))?;
        Ok(RawReply { status, body })
    }
}
