//! `/ws/orchestrator`: a snapshot of what was subscribed to, then every change in order.
//!
//! The client sends `{"subscribe":["workloads","instances","nodes","operations","events"],"since":REVISION?}`. With `since` the
//! snapshot is left out and changes after that revision follow; when they are no longer kept, or the client was
//! too slow, `{"type":"resync"}` says that it has to start again, and the socket closes.
//!
//! What is subscribed to can stand in the address instead, `?subscribe=workloads,nodes&since=REVISION`: the snapshot is
//! then under way before the client has said anything.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use univrs_control::{OrgName, State as Picture, WorkloadKey, view};
use univrs_model::caller::Caller;
use univrs_model::event::Event;
use univrs_model::field::FieldError;
use univrs_model::ids::{InstanceId, NodeId, OperationId};
use univrs_model::keys;
use univrs_ports::store::{Prefix, Revision, WatchBatch, WatchEvent};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::Query;
use crate::problem::Problem;

/// How often a quiet socket is tried.
const PING: Duration = Duration::from_secs(10);

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(orchestrator))
}

/// What a client may subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Topic {
    /// Workloads, whole, whenever anything of them changes.
    Workloads,
    /// Instances.
    Instances,
    /// Nodes.
    Nodes,
    /// One-click resources, whenever they or the operations on them change.
    Resources,
    /// Long changes.
    Operations,
    /// The event log.
    Events,
}

/// The first message of a client.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscription {
    /// What it wants to hear of.
    subscribe: BTreeSet<Topic>,
    /// The last revision it knows of.
    since: Option<u64>,
}

/// The first message, where it stands in the address.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Beginning {
    /// What to subscribe to, separated by commas; the first message is waited for when this is absent.
    subscribe: Option<String>,
    /// The last revision that the client knows of.
    since: Option<u64>,
}

impl Beginning {
    fn subscription(self) -> Result<Option<Subscription>, FieldError> {
        let Some(topics) = self.subscribe else { return Ok(None) };
        let topic = |word: &str| {
            let value = Value::String(word.to_owned());
            univrs_model::decode::from_value(value)
                .map_err(|fault| FieldError { field: "subscribe".to_owned(), ..fault })
        };
        let subscribe = topics.split(',').map(topic).collect::<Result<_, _>>()?;
        Ok(Some(Subscription { subscribe, since: self.since }))
    }
}

/// Live changes of workloads, instances and nodes, and the event log.
#[utoipa::path(get, path = "/ws/orchestrator", tag = "events", params(Beginning), responses((status = SWITCHING_PROTOCOLS),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn orchestrator(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(beginning): Query<Beginning>,
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
    app.control.allow(&caller, univrs_authz::Action::EventRead, "event")?;
    app.control.allow(&caller, univrs_authz::Action::WorkloadRead, "workload")?;
    let begun = beginning.subscription()?;
    Ok(upgrade.max_message_size(64 << 10).on_upgrade(move |socket| async move {
        let stop = app.shutdown.clone();
        let (control, who) = (app.control.clone(), caller.clone());
        let mut feed = Feed { app, caller, socket };
        tokio::select! {
            () = stop.cancelled() => {}
            () = control.until_ended(&who) => {}
            result = feed.run(begun) => if let Err(Gone) = result {
                tracing::debug!("a subscriber left");
            }
        }
    }))
}

/// The peer does not listen any more.
struct Gone;

struct Feed {
    app: App,
    caller: Caller,
    socket: WebSocket,
}

impl Feed {
    async fn run(&mut self, begun: Option<Subscription>) -> Result<(), Gone> {
        let subscription = match begun {
            Some(subscription) => subscription,
            None => self.first_message().await?,
        };
        let from = match subscription.since {
            Some(since) => {
                // Another node may have told of it before it came here. What never comes is of another history, such
                // as that from before a backup was restored.
                let seen = self.app.control.mirror().at_least(Revision(since)).await;
                if seen.revision < Revision(since) {
                    return self.resync().await;
                }
                Revision(since)
            }
            None => self.snapshot(&subscription.subscribe).await?,
        };
        let Ok(mut batches) = self.app.control.store().watch(&Prefix::all(), from).await else {
            return self.resync().await;
        };
        let mut ping = tokio::time::interval(PING);
        loop {
            tokio::select! {
                batch = batches.next() => match batch {
                    Some(Ok(batch)) => self.tell(&subscription.subscribe, &batch).await?,
                    Some(Err(_)) | None => return self.resync().await,
                },
                _ = ping.tick() => self.socket.send(Message::Ping(Vec::new().into())).await.map_err(|_| Gone)?,
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    async fn first_message(&mut self) -> Result<Subscription, Gone> {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) => {
                    match univrs_model::decode::from_json::<Subscription>(text.as_bytes()) {
                        Ok(subscription) => return Ok(subscription),
                        Err(fault) => {
                            self.send(
                                "error",
                                Revision(0),
                                &json!({ "field": fault.field, "detail": fault.detail }),
                            )
                            .await?;
                        }
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                Some(Ok(_)) => {}
            }
        }
    }

    async fn send(&mut self, kind: &str, revision: Revision, data: &Value) -> Result<(), Gone> {
        let at = self.app.clock.now();
        let text = json!({ "type": kind, "revision": revision.0, "at": at, "data": data }).to_string();
        self.socket.send(Message::Text(text.into())).await.map_err(|_| Gone)
    }

    async fn resync(&mut self) -> Result<(), Gone> {
        self.socket
            .send(Message::Text(json!({ "type": "resync" }).to_string().into()))
            .await
            .map_err(|_| Gone)
    }

    async fn snapshot(&mut self, topics: &BTreeSet<Topic>) -> Result<Revision, Gone> {
        let state = self.app.control.mirror().state();
        let mut data = serde_json::Map::new();
        if topics.contains(&Topic::Workloads) {
            let own = state.workloads.iter().filter(|(key, _)| key.org == self.caller.org);
            data.insert(
                "workloads".into(),
                own.map(|(key, record)| json!(view::workload(&state, key, record))).collect(),
            );
        }
        if topics.contains(&Topic::Instances) {
            let own = state.assignments.values().filter(|assignment| assignment.org == self.caller.org);
            let views = own.filter_map(|assignment| state.instance(&assignment.id));
            data.insert(
                "instances".into(),
                views.map(|instance| json!(view::instance(&state, &instance))).collect(),
            );
        }
        if topics.contains(&Topic::Nodes) {
            data.insert(
                "nodes".into(),
                state.nodes.values().map(|record| json!(view::node(&state, record))).collect(),
            );
        }
        if topics.contains(&Topic::Resources) {
            let own = state.resources.iter().filter(|(at, _)| at.org == self.caller.org);
            data.insert(
                "resources".into(),
                own.map(|(_, record)| json!(view::resource(&state, record))).collect(),
            );
        }
        if topics.contains(&Topic::Operations) {
            let own = state.operations.values().filter(|record| record.org == self.caller.org);
            data.insert("operations".into(), own.map(|record| json!(view::operation(record))).collect());
        }
        self.send("snapshot", state.revision, &Value::Object(data)).await?;
        Ok(state.revision)
    }

    async fn tell(&mut self, topics: &BTreeSet<Topic>, batch: &WatchBatch) -> Result<(), Gone> {
        let state = self.app.control.mirror().at_least(batch.revision).await;
        let mut told = BTreeSet::new();
        for event in &batch.events {
            for (kind, name, data) in messages(topics, &self.caller, &state, event) {
                if told.insert((kind, name)) {
                    self.send(kind, batch.revision, &data).await?;
                }
            }
        }
        Ok(())
    }
}

/// What a change of one key means to a subscriber: type, name and data of each message.
fn messages(
    topics: &BTreeSet<Topic>,
    caller: &Caller,
    state: &Picture,
    event: &WatchEvent,
) -> Vec<(&'static str, String, Value)> {
    let key = event.key().as_str();
    let mut found = Vec::new();
    let workload = |name: &str, found: &mut Vec<_>| {
        let Ok(parsed) = name.parse() else { return };
        let workload = WorkloadKey { org: caller.org.clone(), name: parsed };
        if !topics.contains(&Topic::Workloads) {
            return;
        }
        found.push(match state.workloads.get(&workload) {
            Some(record) => ("workload", name.to_owned(), json!(view::workload(state, &workload, record))),
            None => ("workload_removed", name.to_owned(), json!({ "name": name })),
        });
    };
    let resource = |name: &str, found: &mut Vec<_>| {
        let Ok(parsed) = name.parse() else { return };
        if !topics.contains(&Topic::Resources) {
            return;
        }
        let at = OrgName { org: caller.org.clone(), name: parsed };
        found.push(match state.resources.get(&at) {
            Some(record) => ("resource", name.to_owned(), json!(view::resource(state, record))),
            None => ("resource_removed", name.to_owned(), json!({ "name": name })),
        });
    };
    let instance = |id: &str, found: &mut Vec<_>| -> Option<String> {
        let parsed = id.parse().ok()?;
        let Some(instance) = state.instance(&parsed) else {
            if topics.contains(&Topic::Instances) {
                found.push(("instance_removed", id.to_owned(), json!({ "id": id })));
            }
            return None;
        };
        if instance.assignment.org != caller.org {
            return None;
        }
        if topics.contains(&Topic::Instances) {
            found.push(("instance", id.to_owned(), json!(view::instance(state, &instance))));
        }
        Some(instance.assignment.workload.to_string())
    };
    if let Some((_, id)) = key.strip_prefix(keys::OBSERVED).and_then(|rest| rest.split_once('/')) {
        // Whose a forgotten instance was cannot be told here; the end of its assignment was told to its own.
        let known = id.parse().is_ok_and(|id: InstanceId| state.assignments.contains_key(&id));
        if known && let Some(name) = instance(id, &mut found) {
            workload(&name, &mut found);
        }
    } else if let Some((org, kind, last)) = keys::split(key) {
        if org != caller.org.as_str() {
            return found;
        }
        match (kind, event) {
            ("workload" | "rollout", _) => workload(last, &mut found),
            ("instance", _) => {
                if let Some(name) = instance(last, &mut found) {
                    workload(&name, &mut found);
                }
            }
            ("resource", _) => resource(last, &mut found),
            ("operation", _) => {
                let known = last.parse::<OperationId>().ok().and_then(|id| state.operations.get(&id));
                // How far a resource is, its operation says.
                if let Some(record) = known.filter(|record| record.kind.starts_with("resource_")) {
                    resource(&record.subject, &mut found);
                }
                if !topics.contains(&Topic::Operations) {
                    return found;
                }
                found.push(match known {
                    Some(record) => ("operation", last.to_owned(), json!(view::operation(record))),
                    None => ("operation_removed", last.to_owned(), json!({ "id": last })),
                });
            }
            ("event", WatchEvent::Put { value, .. }) if topics.contains(&Topic::Events) => {
                if let Ok(event) = serde_json::from_slice::<Event>(&value.value) {
                    found.push(("event", last.to_owned(), json!(event)));
                }
            }
            _ => {}
        }
    } else if let (Some(place), WatchEvent::Put { value, .. }) =
        (key.strip_prefix(keys::CLUSTER_EVENTS), event)
    {
        if topics.contains(&Topic::Events)
            && let Ok(event) = serde_json::from_slice::<Event>(&value.value)
        {
            found.push(("event", place.to_owned(), json!(event)));
        }
    } else if topics.contains(&Topic::Nodes)
        && let Some(id) = [keys::NODES, keys::NODE_POLICIES, keys::NODES_ALIVE]
            .iter()
            .find_map(|prefix| key.strip_prefix(prefix)?.parse::<NodeId>().ok())
    {
        found.push(match state.nodes.get(&id) {
            Some(record) => ("node", id.to_string(), json!(view::node(state, record))),
            None => ("node_removed", id.to_string(), json!({ "id": id })),
        });
    }
    found
}
