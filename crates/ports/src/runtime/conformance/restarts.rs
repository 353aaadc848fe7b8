//! Across restarts of the daemon.

use std::time::Duration;

use futures::StreamExt as _;

use super::super::{ContainerPhase, LogQuery};
use super::{Behaviour, GENEROUS, PATIENCE, Subject, close, container, ended, heeds, sandbox, started};

/// A running container is still the same one, and can be stopped as before.
pub(super) async fn running_containers_survive_a_restart(subject: &dyn Subject) {
    let (id, before) = started(subject, &Behaviour::EndsOnTerm(9)).await;
    heeds(&*subject.runtime(), &id).await;
    let runtime = subject.restart().await;
    let listed = runtime.list().await.expect("a list");
    assert!(listed.sandboxes.contains(&id.instance));
    let found = listed.containers.into_iter().find(|state| state.id == id).expect("the container");
    assert_eq!(found, before);
    let again =
        runtime.start(&subject.spec(id.clone(), 0, &Behaviour::EndsOnTerm(9))).await.expect("an answer");
    assert_eq!(again, before);
    assert_eq!(runtime.stop(&id, GENEROUS).await.expect("it stops").code, Some(9));
    close(&*runtime, &id.instance).await;
}

/// How containers ended is known after a restart, whether they ended before it, around it or after it.
pub(super) async fn exits_are_known_after_a_restart(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let instance = sandbox(&*runtime).await;
    let (before, around) = (container(&instance, "before"), container(&instance, "around"));
    let spec =
        |id, millis, code| subject.spec(id, 0, &Behaviour::EndsAfter(Duration::from_millis(millis), code));
    runtime.start(&spec(before.clone(), 10, 11)).await.expect("it starts");
    let exit = ended(&*runtime, &before).await;
    let started = runtime.start(&spec(around.clone(), 400, 12)).await.expect("it starts");
    drop(runtime);
    let runtime = subject.restart().await;
    let state = runtime.inspect(&before).await.expect("an answer").expect("the container");
    assert_eq!(state.phase, ContainerPhase::Exited(exit));
    assert_eq!(ended(&*runtime, &around).await.code, Some(12));
    let state = runtime.inspect(&around).await.expect("an answer").expect("the container");
    assert_eq!(state.started_at, started.started_at);
    let lines = runtime.logs(&before, LogQuery::default()).await.expect("logs");
    assert_eq!(lines.count().await, 0);
    close(&*runtime, &instance).await;
}

/// Endings of containers that an earlier daemon started are hinted at too.
pub(super) async fn endings_after_a_restart_are_hinted_at(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::EndsOnTerm(0)).await;
    heeds(&*subject.runtime(), &id).await;
    let runtime = subject.restart().await;
    // It ends while somebody listens, however long the restart took.
    let mut endings = runtime.endings();
    runtime.signal(&id, "SIGTERM").await.expect("it is sent");
    let hinted = tokio::time::timeout(PATIENCE, async {
        while endings.next().await.is_some_and(|hint| hint != id) {}
    });
    hinted.await.expect("a hint in time");
    assert_eq!(ended(&*runtime, &id).await.code, Some(0));
    close(&*runtime, &id.instance).await;
}
