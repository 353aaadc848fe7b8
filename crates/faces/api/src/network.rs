//! `/ws/network`: who is heard of and connected, and what members call out to all.
//!
//! The client sends `{"subscribe":["peers","messages","reputation","credits"]}`. A snapshot with `peers` follows, then
//! `peers` (the whole list) whenever it differs, `peer_connected` and `peer_disconnected`, and one message for each
//! call: `reputation`, `credit`, or `message` for every other topic. What is said between nodes is not in the
//! replicated log, so there is no `since`; `{"type":"resync"}` says that messages were missed, and the socket closes.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_ports::discovery::{self, MeshEvent};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::peers::seen;
use crate::problem::Problem;

/// How often a quiet socket is tried.
const PING: Duration = Duration::from_secs(10);
/// How often the list of peers is compared with what was sent.
const LOOK: Duration = Duration::from_secs(1);

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(network))
}

/// What a client may subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NetworkTopic {
    /// Other nodes: heard of, connected.
    Peers,
    /// Announcements, versions and workloads.
    Messages,
    /// What nodes think of each other.
    Reputation,
    /// Promises and payments.
    Credits,
}

/// The first message of a client.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Subscription {
    /// What it wants to hear of.
    subscribe: BTreeSet<NetworkTopic>,
}

/// Peers, and what members call out to all.
#[utoipa::path(get, path = "/ws/network", tag = "events", responses((status = SWITCHING_PROTOCOLS),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn network(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| {
        Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "A WebSocket is needed",
            "this address answers WebSocket requests only",
        )
    })?;
    app.control.allow(&caller, Action::NodeRead, "node")?;
    Ok(upgrade.max_message_size(64 << 10).on_upgrade(move |socket| async move {
        let stop = app.shutdown.clone();
        let control = app.control.clone();
        let mut feed = Feed { app, socket };
        tokio::select! {
            () = stop.cancelled() => {}
            () = control.until_ended(&caller) => {}
            result = feed.run() => if let Err(Gone) = result {
                tracing::debug!("a listener to the network left");
            }
        }
    }))
}

/// The other end does not listen any more.
struct Gone;

struct Feed {
    app: App,
    socket: WebSocket,
}

impl Feed {
    async fn run(&mut self) -> Result<(), Gone> {
        let wanted = self.subscription().await?;
        // A node without discovery has no events; this sender lives as long as the socket and says nothing.
        let (_silent, nothing) = broadcast::channel(1);
        let mut events = self.app.peers.discovery.as_ref().map_or(nothing, |discovery| discovery.events());
        let mut known = seen(&self.app).await;
        self.send("snapshot", &json!({ "peers": known })).await?;
        let (mut ping, mut look) = (tokio::time::interval(PING), tokio::time::interval(LOOK));
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => {
                        if let Some((kind, data)) = told(&wanted, &event) {
                            self.send(kind, &data).await?;
                        }
                    }
                    Err(RecvError::Lagged(_) | RecvError::Closed) => {
                        let text = json!({ "type": "resync" }).to_string();
                        return self.socket.send(Message::Text(text.into())).await.map_err(|_| Gone);
                    }
                },
                _ = look.tick() => {
                    let now = seen(&self.app).await;
                    if now != known && wanted.contains(&NetworkTopic::Peers) {
                        self.send("peers", &json!(now)).await?;
                        known = now;
                    }
                }
                _ = ping.tick() => self.socket.send(Message::Ping(Vec::new().into())).await.map_err(|_| Gone)?,
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    async fn subscription(&mut self) -> Result<BTreeSet<NetworkTopic>, Gone> {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) => {
                    match univrs_model::decode::from_json::<Subscription>(text.as_bytes()) {
                        Ok(subscription) => return Ok(subscription.subscribe),
                        Err(fault) => {
                            self.send("error", &json!({ "field": fault.field, "detail": fault.detail }))
                                .await?;
                        }
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                Some(Ok(_)) => {}
            }
        }
    }

    async fn send(&mut self, kind: &str, data: &Value) -> Result<(), Gone> {
        let (at, revision) = (self.app.clock.now(), self.app.control.mirror().state().revision.0);
        let text = json!({ "type": kind, "revision": revision, "at": at, "data": data }).to_string();
        self.socket.send(Message::Text(text.into())).await.map_err(|_| Gone)
    }
}

/// What an event means to a subscriber: the type and data of its message.
fn told(wanted: &BTreeSet<NetworkTopic>, event: &MeshEvent) -> Option<(&'static str, Value)> {
    let (topic, kind, data) = match event {
        MeshEvent::PeerConnected { node, peer, path } => {
            (NetworkTopic::Peers, "peer_connected", json!({ "node": node, "peer": peer, "path": path }))
        }
        MeshEvent::PeerDisconnected { node, peer } => {
            (NetworkTopic::Peers, "peer_disconnected", json!({ "node": node, "peer": peer }))
        }
        MeshEvent::Message(message) => {
            let (topic, kind) = match message.topic {
                discovery::Topic::Reputation => (NetworkTopic::Reputation, "reputation"),
                discovery::Topic::Credit => (NetworkTopic::Credits, "credit"),
                discovery::Topic::Announce | discovery::Topic::Version | discovery::Topic::Workload => {
                    (NetworkTopic::Messages, "message")
                }
            };
            (topic, kind, json!(message))
        }
    };
    wanted.contains(&topic).then_some((kind, data))
}

#[cfg(test)]
mod tests {
    use univrs_model::Timestamp;
    use univrs_model::ids::NodeId;
    use univrs_ports::discovery::{Message, Topic};

    use super::*;

    #[test]
    fn a_listener_hears_what_it_asked_for() {
        let node = NodeId::from_bits(1);
        let call = |topic| {
            let at = Timestamp::from_second(0).unwrap();
            MeshEvent::Message(Message { topic, author: node.clone(), at, body: json!({"score": 1}) })
        };
        let kinds = |wanted: &[NetworkTopic]| -> Vec<&str> {
            let wanted = wanted.iter().copied().collect();
            let gone = MeshEvent::PeerDisconnected { node: node.clone(), peer: "p".to_owned() };
            let events = Topic::ALL.into_iter().map(call).chain([gone]);
            events.filter_map(|event| told(&wanted, &event).map(|(kind, _)| kind)).collect()
        };
        assert_eq!(kinds(&[NetworkTopic::Reputation]), ["reputation"]);
        assert_eq!(kinds(&[NetworkTopic::Credits, NetworkTopic::Peers]), ["credit", "peer_disconnected"]);
        assert_eq!(kinds(&[NetworkTopic::Messages]), ["message"; 3]);
        assert_eq!(kinds(&[]), [""; 0]);
    }
}
