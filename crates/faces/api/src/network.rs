//! `/ws/network`: who is heard of and connected, how they are connected, and what members call out to all.
//!
//! The client sends `{"subscribe":["peers","links","messages","reputation","credits"]}`. A snapshot follows, then one
//! message for each change: `peer`, `peer_gone`, `link`, `link_gone`, and for each call `reputation`, `credit`, or
//! `message` for every other topic. Payloads: `docs/network-socket.md`.
//!
//! What nodes see of each other is not in the replicated log. So `revision` counts what this socket was sent, the
//! snapshot is always whole, whatever `since` says, and `{"type":"resync"}` says that calls were missed; then the
//! socket closes.

mod view;

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
use crate::peers::{self, seen};
use crate::problem::Problem;
use view::NetworkView;

/// How often a quiet socket is tried.
const PING: Duration = Duration::from_secs(10);
/// How often the view is compared with what was sent.
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
    /// Connections between nodes.
    Links,
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
    /// Taken for the sake of clients that send it everywhere: the snapshot is whole all the same.
    #[serde(default)]
    #[expect(dead_code, reason = "part of what a client may send")]
    since: Option<u64>,
}

/// Peers, the connections between them, and what members call out to all.
///
/// The first message of the client is `{"subscribe":["peers","links","messages","reputation","credits"]}`. The server
/// sends `{"type","revision","at","data"}`: a `snapshot` with `node`, `peers` and `links`, then `peer` and `link` with
/// the whole object, `peer_gone` with `node`, `link_gone` with `from` and `to`, and `message`, `reputation` or `credit`
/// with `topic`, `author`, `at` and `body`. `revision` counts the messages of this socket. `{"type":"resync"}` says that
/// some were missed; the socket closes then.
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
        let mut feed = Feed { app, socket, revision: 0 };
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
    /// Messages sent so far.
    revision: u64,
}

impl Feed {
    async fn run(&mut self) -> Result<(), Gone> {
        let wanted = self.subscription().await?;
        // A node without discovery has no events; this sender lives as long as the socket and says nothing.
        let (_silent, nothing) = broadcast::channel(1);
        let mut events = self.app.peers.discovery.as_ref().map_or(nothing, |discovery| discovery.events());
        let (peers, links) = (wanted.contains(&NetworkTopic::Peers), wanted.contains(&NetworkTopic::Links));
        let mut known = look_around(&self.app).await;
        let mut data = json!({ "node": self.app.peers.own });
        if peers {
            data["peers"] = json!(known.peers.values().collect::<Vec<_>>());
        }
        if links {
            data["links"] = json!(known.links.values().collect::<Vec<_>>());
        }
        self.send("snapshot", &data).await?;
        let (mut ping, mut look) = (tokio::time::interval(PING), tokio::time::interval(LOOK));
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(MeshEvent::Message(message)) => {
                        if let Some((kind, data)) = told(&wanted, &message) {
                            self.send(kind, &data).await?;
                        }
                    }
                    Ok(MeshEvent::PeerConnected { .. } | MeshEvent::PeerDisconnected { .. }) => {
                        look.reset_immediately();
                    }
                    Err(RecvError::Lagged(_) | RecvError::Closed) => {
                        let text = json!({ "type": "resync" }).to_string();
                        return self.socket.send(Message::Text(text.into())).await.map_err(|_| Gone);
                    }
                },
                _ = look.tick(), if peers || links => {
                    let now = look_around(&self.app).await.settled(&known);
                    for change in now.changes(&known) {
                        let wanted = if change.of_links() { links } else { peers };
                        if wanted {
                            let (kind, data) = change.told();
                            self.send(kind, &data).await?;
                        }
                    }
                    known = now;
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
        self.revision += 1;
        let (at, revision) = (self.app.clock.now(), self.revision);
        let text = json!({ "type": kind, "revision": revision, "at": at, "data": data }).to_string();
        self.socket.send(Message::Text(text.into())).await.map_err(|_| Gone)
    }
}

/// The network as it is now.
async fn look_around(app: &App) -> NetworkView {
    NetworkView::new(app.peers.own.as_ref(), seen(app).await, peers::links(app))
}

/// What a call means to a subscriber: the type and data of its message.
fn told(wanted: &BTreeSet<NetworkTopic>, message: &discovery::Message) -> Option<(&'static str, Value)> {
    let (topic, kind) = match message.topic {
        discovery::Topic::Reputation => (NetworkTopic::Reputation, "reputation"),
        discovery::Topic::Credit => (NetworkTopic::Credits, "credit"),
        discovery::Topic::Announce | discovery::Topic::Version | discovery::Topic::Workload => {
            (NetworkTopic::Messages, "message")
        }
    };
    wanted.contains(&topic).then(|| (kind, json!(message)))
}

#[cfg(test)]
mod tests {
    use univrs_model::Timestamp;
    use univrs_model::ids::NodeId;
    use univrs_ports::discovery::{Message, Topic};

    use super::*;

    #[test]
    fn a_listener_hears_what_it_asked_for() {
        let call = |topic| {
            let (author, at) = (NodeId::from_bits(1), Timestamp::from_second(0).unwrap());
            Message { topic, author, at, body: json!({"score": 1}) }
        };
        let kinds = |wanted: &[NetworkTopic]| -> Vec<&str> {
            let wanted = wanted.iter().copied().collect();
            let calls = Topic::ALL.into_iter().map(call);
            calls.filter_map(|call| told(&wanted, &call).map(|(kind, _)| kind)).collect()
        };
        assert_eq!(kinds(&[NetworkTopic::Reputation]), ["reputation"]);
        assert_eq!(kinds(&[NetworkTopic::Credits, NetworkTopic::Peers]), ["credit"]);
        assert_eq!(kinds(&[NetworkTopic::Messages]), ["message"; 3]);
        assert_eq!(kinds(&[]), [""; 0]);
    }
}
