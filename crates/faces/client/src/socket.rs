//! WebSockets over the same HTTP client, so that proxies, TLS and refusals work as for every other request.

use reqwest::header::{CONNECTION, HeaderValue, UPGRADE};
use reqwest::{Method, Upgraded};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::error::Error;
use crate::request::Client;

/// An open WebSocket.
pub type Socket = WebSocketStream<Upgraded>;

/// How long the server may take to open a WebSocket.
const OPENING: std::time::Duration = std::time::Duration::from_secs(30);

impl Client {
    /// Opens a WebSocket.
    ///
    /// # Errors
    /// As every request, and when the server does not speak WebSocket there.
    pub(crate) async fn socket(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
    ) -> Result<Socket, Error> {
        let key = generate_key();
        let mut builder = self
            .builder(&Method::GET, &self.url(path, query)?)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", &key);
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("univrs.bearer.{token}")).map_err(|_| {
                Error::Options { detail: "the API token has characters that no token has".to_owned() }
            })?;
            value.set_sensitive(true);
            builder = builder.header("sec-websocket-protocol", value);
        }
        let response = tokio::time::timeout(OPENING, self.dispatch(builder))
            .await
            .map_err(|_| Error::Timeout { server: self.server().to_owned() })??;
        let response = self.checked(response).await?;
        let status = response.status().as_u16();
        let accepted = response.headers().get("sec-websocket-accept").map(HeaderValue::as_bytes);
        if status != 101 || accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(Error::BadReply {
                status,
                detail: "the server does not speak WebSocket there".to_owned(),
            });
        }
        let upgraded = response.upgrade().await.map_err(|error| self.transport(error))?;
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
    }

    /// The error of a WebSocket that broke.
    pub(crate) fn broken(&self, error: tokio_tungstenite::tungstenite::Error) -> Error {
        broken(self.server(), error)
    }
}

pub(crate) fn broken(server: &str, error: tokio_tungstenite::tungstenite::Error) -> Error {
    Error::Unreachable { server: server.to_owned(), source: Box::new(error) }
}
