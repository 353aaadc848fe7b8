//! Hearing from the engine that containers ended.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder};
use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::broadcast;
use univrs_ports::runtime::ContainerId;

use super::engine::Engine;
use super::names::{Kind, NODE, Names};

/// Pause before listening again to an engine that went away.
const RETRY: Duration = Duration::from_secs(1);

/// Listens for ever. After each interruption every container that has ended is hinted at: nobody knows what was
/// missed.
pub(super) async fn listen(engine: Engine, names: Names, endings: broadcast::Sender<ContainerId>) {
    let mut lost = false;
    loop {
        // What happens between here and the first event is told first.
        let since = Timestamp::now();
        if lost && !hint_at_all(&engine, &names, &endings).await {
            tokio::time::sleep(RETRY).await;
            continue;
        }
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("event", vec!["die".to_owned()]),
            ("label", vec![format!("{NODE}={}", names.node())]),
        ]);
        let moment = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
        let options = EventsOptionsBuilder::new().since(&moment).filters(&filters).build();
        let mut events = std::pin::pin!(engine.docker().events(Some(options)));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    if let Some(id) = ended(&names, event) {
                        // Nobody listens when the daemon only lists.
                        let _ = endings.send(id);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "Docker no longer tells what happens");
                    break;
                }
            }
        }
        lost = true;
        tokio::time::sleep(RETRY).await;
    }
}

/// Which container of ours an event is about.
fn ended(names: &Names, event: EventMessage) -> Option<ContainerId> {
    let labels = event.actor?.attributes?;
    match names.recognise(labels.get("name")?, &labels)? {
        Kind::Attempt { id, .. } => Some(id),
        Kind::Sandbox(_) => None,
    }
}

/// Hints at every container that has ended. Answers whether the engine answered.
async fn hint_at_all(engine: &Engine, names: &Names, endings: &broadcast::Sender<ContainerId>) -> bool {
    let filters = HashMap::from([
        ("label", vec![format!("{NODE}={}", names.node())]),
        ("status", vec!["exited".to_owned(), "dead".to_owned()]),
    ]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let Ok(listed) = engine.docker().list_containers(Some(options)).await else { return false };
    for one in listed {
        let labels = one.labels.unwrap_or_default();
        let kind = one.names.unwrap_or_default().iter().find_map(|name| names.recognise(name, &labels));
        if let Some(Kind::Attempt { id, .. }) = kind {
            // Nobody listens when the daemon only lists.
            let _ = endings.send(id);
        }
    }
    true
}
