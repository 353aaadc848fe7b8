//! From start to end.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use univrs_model::span::Span;

use super::super::{ContainerPhase, LogQuery, RuntimeError};
use super::{
    Ability, Behaviour, GENEROUS, HOSTNAME, PATIENCE, Subject, close, container, ended, exit_of, fresh,
    heeds, heeds_as, is_not_found, sandbox, started, until,
};

/// A container that ends by itself is known with its exit code until its sandbox is closed.
pub(super) async fn a_container_runs_and_its_exit_code_is_kept(subject: &dyn Subject) {
    let (id, state) = started(subject, &Behaviour::EndsAfter(Duration::from_millis(300), 42)).await;
    // On a busy machine it may be over before its start is told.
    assert!(exit_of(&state).is_none_or(|exit| exit.code == Some(42)), "{state:?}");
    assert!(state.image_digest.starts_with("sha256:"), "{}", state.image_digest);
    let runtime = subject.runtime();
    let exit = ended(&*runtime, &id).await;
    assert_eq!((exit.code, exit.out_of_memory), (Some(42), false));
    assert!(exit.at >= state.started_at);
    let later = runtime.inspect(&id).await.expect("an answer").expect("the container");
    assert_eq!((later.started_at, later.pid), (state.started_at, None));
    let listed = runtime.list().await.expect("a list");
    assert!(listed.containers.contains(&later));
    assert_eq!(runtime.stop(&id, GENEROUS).await.expect("stopping an ended one answers"), exit);
    assert!(matches!(runtime.signal(&id, "SIGTERM").await, Err(RuntimeError::NotRunning { .. })));
    close(&*runtime, &id.instance).await;
}

/// A second start of the same attempt answers the container that exists, running or ended.
pub(super) async fn starting_again_changes_nothing(subject: &dyn Subject) {
    let behaviour = Behaviour::EndsOnTerm(0);
    let (id, first) = started(subject, &behaviour).await;
    let runtime = subject.runtime();
    let spec = subject.spec(id.clone(), 0, &behaviour);
    assert_eq!(runtime.start(&spec).await.expect("an answer"), first);
    let reopened = runtime.open_sandbox(&id.instance, HOSTNAME).await.expect("an open sandbox opens");
    assert_eq!(reopened, runtime.open_sandbox(&id.instance, HOSTNAME).await.expect("an open sandbox opens"));
    heeds(&*runtime, &id).await;
    let exit = runtime.stop(&id, GENEROUS).await.expect("it stops");
    let again = runtime.start(&spec).await.expect("an answer");
    assert_eq!((again.started_at, exit_of(&again)), (first.started_at, Some(exit)));
    close(&*runtime, &id.instance).await;
}

/// A container needs an open sandbox.
pub(super) async fn without_a_sandbox_nothing_starts(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let id = container(&fresh(), "app");
    let outcome = runtime.start(&subject.spec(id.clone(), 0, &Behaviour::Stubborn)).await;
    assert!(is_not_found(&outcome), "{outcome:?}");
    assert_eq!(runtime.inspect(&id).await.expect("an answer"), None);
    assert!(is_not_found(&runtime.stop(&id, GENEROUS).await));
}

/// That a program does not exist is said by the start itself, with its name, and nothing is left running.
pub(super) async fn a_missing_command_is_refused_at_once(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let instance = sandbox(&*runtime).await;
    let id = container(&instance, "app");
    match runtime.start(&subject.spec(id.clone(), 0, &Behaviour::Missing)).await {
        Err(RuntimeError::Refused { reason, .. }) => assert!(reason.contains("/no/such/program"), "{reason}"),
        other => panic!("it must be refused, was {other:?}"),
    }
    let left = runtime.inspect(&id).await.expect("an answer");
    assert!(left.is_none_or(|state| state.phase != ContainerPhase::Running));
    let started = runtime.start(&subject.spec(id.clone(), 1, &Behaviour::EndsOnTerm(0))).await;
    assert_eq!(started.expect("a good one starts").attempt, 1);
    close(&*runtime, &instance).await;
}

/// A container that heeds its stop signal ends with its own code, without waiting for the grace to pass.
pub(super) async fn stopping_asks_first(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::EndsOnTerm(7)).await;
    let runtime = subject.runtime();
    heeds(&*runtime, &id).await;
    let exit = runtime.stop(&id, GENEROUS).await.expect("it stops");
    assert_eq!((exit.code, exit.out_of_memory), (Some(7), false));
    close(&*runtime, &id.instance).await;
}

/// A container that does not heed its stop signal is killed when the grace has passed, and not before.
pub(super) async fn stopping_kills_after_the_grace(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::Stubborn).await;
    let runtime = subject.runtime();
    let began = Instant::now();
    let exit = runtime.stop(&id, Span::millis(500)).await.expect("it stops");
    assert_eq!((exit.code, exit.out_of_memory), (Some(137), false));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(500), "{took:?}");
    close(&*runtime, &id.instance).await;
}

/// A signal reaches the container; a name that is no signal is refused.
pub(super) async fn signals_arrive(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::EndsOnTerm(3)).await;
    let runtime = subject.runtime();
    heeds(&*runtime, &id).await;
    assert!(matches!(runtime.signal(&id, "SIGNOTHING").await, Err(RuntimeError::Refused { .. })));
    runtime.signal(&id, "SIGTERM").await.expect("it is sent");
    assert_eq!(ended(&*runtime, &id).await.code, Some(3));
    close(&*runtime, &id.instance).await;
}

/// A higher attempt replaces an ended container, never a running one; a lower one replaces nothing.
pub(super) async fn a_later_attempt_replaces_an_ended_one(subject: &dyn Subject) {
    let (id, first) = started(subject, &Behaviour::EndsOnTerm(0)).await;
    let runtime = subject.runtime();
    let second = subject.spec(id.clone(), 1, &Behaviour::EndsOnTerm(5));
    let outcome = runtime.start(&second).await;
    assert!(matches!(outcome, Err(RuntimeError::Failed { .. })), "{outcome:?}");
    heeds(&*runtime, &id).await;
    runtime.stop(&id, GENEROUS).await.expect("it stops");
    let state = runtime.start(&second).await.expect("the second attempt starts");
    assert_eq!((state.attempt, state.phase), (1, ContainerPhase::Running));
    assert!(state.started_at > first.started_at);
    let outcome = runtime.start(&subject.spec(id.clone(), 0, &Behaviour::EndsOnTerm(0))).await;
    assert!(outcome.is_err(), "{outcome:?}");
    heeds_as(&*runtime, &id, 2).await;
    assert_eq!(runtime.stop(&id, GENEROUS).await.expect("it stops").code, Some(5));
    close(&*runtime, &id.instance).await;
}

/// Two containers of one instance live and end on their own.
pub(super) async fn containers_of_an_instance_are_separate(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let instance = sandbox(&*runtime).await;
    let (one, two) = (container(&instance, "one"), container(&instance, "two"));
    let (first, second) = (
        subject.spec(one.clone(), 0, &Behaviour::EndsOnTerm(1)),
        subject.spec(two.clone(), 0, &Behaviour::EndsOnTerm(2)),
    );
    let (a, b) = tokio::join!(runtime.start(&first), runtime.start(&second));
    a.expect("the first starts");
    b.expect("the second starts");
    heeds(&*runtime, &one).await;
    assert_eq!(runtime.stop(&one, GENEROUS).await.expect("it stops").code, Some(1));
    let other = runtime.inspect(&two).await.expect("an answer").expect("the other container");
    assert_eq!(other.phase, ContainerPhase::Running);
    close(&*runtime, &instance).await;
}

/// Whoever listens learns that a container ended.
pub(super) async fn endings_are_hinted_at(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let mut endings = runtime.endings();
    let (id, _) = started(subject, &Behaviour::EndsAfter(Duration::from_millis(100), 0)).await;
    let hinted = tokio::time::timeout(PATIENCE, async {
        while let Some(hint) = endings.next().await {
            if hint == id {
                return;
            }
        }
        panic!("the stream of endings ended");
    });
    hinted.await.expect("a hint in time");
    let state = runtime.inspect(&id).await.expect("an answer").expect("the container");
    assert_eq!(exit_of(&state).and_then(|exit| exit.code), Some(0), "the hint comes after the fact");
    close(&*runtime, &id.instance).await;
}

/// What a container uses is told while it runs.
pub(super) async fn usage_is_told_while_it_runs(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::EndsOnTerm(0)).await;
    let runtime = subject.runtime();
    let usage = runtime.usage(&id).await.expect("its usage");
    if !subject.lacks().contains(&Ability::CountsProcesses) {
        assert!(usage.pids >= 1, "{usage:?}");
    }
    heeds(&*runtime, &id).await;
    runtime.stop(&id, GENEROUS).await.expect("it stops");
    assert!(matches!(runtime.usage(&id).await, Err(RuntimeError::NotRunning { .. })));
    close(&*runtime, &id.instance).await;
}

/// A closed sandbox is forgotten with all that was in it, whether it ran or not.
pub(super) async fn closing_leaves_nothing(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let instance = sandbox(&*runtime).await;
    let (runs, done) = (container(&instance, "runs"), container(&instance, "done"));
    runtime.start(&subject.spec(runs.clone(), 0, &Behaviour::Stubborn)).await.expect("it starts");
    runtime.start(&subject.spec(done.clone(), 0, &Behaviour::Says(vec![]))).await.expect("it starts");
    ended(&*runtime, &done).await;
    assert!(runtime.list().await.expect("a list").sandboxes.contains(&instance));
    close(&*runtime, &instance).await;
    close(&*runtime, &instance).await;
    for id in [&runs, &done] {
        assert_eq!(runtime.inspect(id).await.expect("an answer"), None);
        assert!(is_not_found(&runtime.logs(id, LogQuery::default()).await));
        assert!(is_not_found(&runtime.stop(id, GENEROUS).await));
    }
    let listed = runtime.list().await.expect("a list");
    assert!(!listed.sandboxes.contains(&instance));
    assert!(listed.containers.iter().all(|state| state.id.instance != instance));
}

/// Purging removes every sandbox; the runtime can be used again afterwards.
pub(super) async fn purging_leaves_nothing(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::Stubborn).await;
    let runtime = subject.runtime();
    runtime.purge().await.expect("it purges");
    runtime.purge().await.expect("it purges again");
    until("the list is empty", || async {
        let listed = runtime.list().await.expect("a list");
        (listed.containers.is_empty() && listed.sandboxes.is_empty()).then_some(())
    })
    .await;
    assert_eq!(runtime.inspect(&id).await.expect("an answer"), None);
    let (id, _) = started(subject, &Behaviour::EndsOnTerm(0)).await;
    close(&*runtime, &id.instance).await;
}
