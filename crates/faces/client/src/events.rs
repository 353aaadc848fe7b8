//! Events: the history over REST, and what happens from now on over a WebSocket.

use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;
use univrs_model::Timestamp;
use univrs_model::event::EventView;

use crate::error::Error;
use crate::request::{Client, Page, Reply};
use crate::socket::Socket;
use crate::types::List;

/// One message of `/ws/orchestrator`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What it is: `snapshot`, `resync`, or the kind of thing that changed.
    #[serde(rename = "type")]
    pub kind: String,
    /// Revision of the change.
    #[serde(default)]
    pub revision: u64,
    /// When.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// What changed.
    #[serde(default)]
    pub data: Value,
}

/// Messages as they come.
pub struct EventFollower {
    socket: Socket,
    client: Client,
}

impl EventFollower {
    /// The next message, or `None` when the server closes the connection.
    ///
    /// # Errors
    /// When the connection breaks or a message is not one.
    pub async fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let Some(frame) = self.socket.next().await else { return Ok(None) };
            match frame.map_err(|error| self.client.broken(error))? {
                Frame::Text(text) => {
                    return serde_json::from_str(&text).map(Some).map_err(|error| Error::BadReply {
                        status: 0,
                        detail: format!("not a message: {error}"),
                    });
                }
                Frame::Close(_) => return Ok(None),
                Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
            }
        }
    }
}

impl Client {
    /// Past events, the newest last.
    ///
    /// # Errors
    /// As every request.
    pub async fn events(&self, page: &Page) -> Result<Reply<List<EventView>>, Error> {
        self.get(&["api", "events"], &page.query()).await
    }

    /// What happens from now on, or from the revision `since` on, to the given topics.
    ///
    /// # Errors
    /// As every request.
    pub async fn follow(&self, topics: &[&str], since: Option<u64>) -> Result<EventFollower, Error> {
        let mut socket = self.socket(&["ws", "orchestrator"], &[]).await?;
        let subscribe = match since {
            Some(since) => json!({"subscribe": topics, "since": since}),
            None => json!({"subscribe": topics}),
        };
        socket.send(Frame::text(subscribe.to_string())).await.map_err(|error| self.broken(error))?;
        Ok(EventFollower { socket, client: self.clone() })
    }
}
