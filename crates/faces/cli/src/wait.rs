//! Waiting until workloads have settled, and telling truthfully how they did.

use std::time::Duration;

use tokio::time::Instant;
use univrs_client::{Error, LogOptions, Page};
use univrs_model::instance::{Health, InstanceView, Phase};
use univrs_model::rollout::{WorkloadStatus, WorkloadView};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::progress::Progress;
use crate::table::span;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// How many of a failed instance's last log lines are shown.
const LAST_LINES: u64 = 20;
/// How long fetching those lines may take.
const LINES_LIMIT: Duration = Duration::from_secs(5);

/// A change that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// The generation that the change made.
    pub(crate) generation: u64,
}

impl From<&WorkloadView> for Target {
    fn from(view: &WorkloadView) -> Self {
        Self { name: view.name.to_string(), generation: view.generation }
    }
}

/// How waiting ended.
enum Outcome {
    /// Each target's last view.
    Settled(Vec<WorkloadView>),
    /// The targets that had not settled in time, as last seen.
    TimedOut(Vec<String>),
    Interrupted,
}

/// Waits until all targets have settled and tells how they did; with `--detach` only says what was accepted.
pub(crate) async fn settle(context: &mut Context<'_>, targets: &[Target]) -> Result<Exit, Fault> {
    if context.detach {
        for target in targets {
            context.talk(&format!(
                "{}: accepted as generation {}, not waiting",
                target.name, target.generation
            ))?;
        }
        return Ok(Exit::Ok);
    }
    let mut progress = Progress::new(context.io);
    let outcome = tokio::select! {
        outcome = poll(context, targets, &mut progress) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(Outcome::Interrupted),
    };
    progress.finish(context.io)?;
    match outcome? {
        Outcome::Settled(views) => {
            let mut exit = Exit::Ok;
            for view in &views {
                exit = exit.or(verdict(context, view).await?);
            }
            Ok(exit)
        }
        Outcome::TimedOut(names) => {
            for name in &names {
                context.talk(&format!("error: {name} has not settled within {}", span(context.patience)))?;
                context.talk(&format!("hint: `univrs workload explain {name}` says what it waits for"))?;
            }
            Ok(Exit::TimedOut)
        }
        Outcome::Interrupted => {
            context.talk("detached; the change goes on")?;
            for target in targets {
                context.talk(&format!("hint: `univrs workload wait {}` waits for it again", target.name))?;
            }
            Ok(Exit::Interrupted)
        }
    }
}

async fn poll(
    context: &mut Context<'_>,
    targets: &[Target],
    progress: &mut Progress,
) -> Result<Outcome, Fault> {
    let deadline = Instant::now() + context.patience;
    let mut settled: Vec<Option<WorkloadView>> = vec![None; targets.len()];
    loop {
        for (target, done) in targets.iter().zip(&mut settled).filter(|(_, done)| done.is_none()) {
            let view = match context.client.workload(&target.name).await.and_then(|reply| reply.value()) {
                Ok(view) => view,
                Err(error) if is_passing(&error) => {
                    progress.say(context.io, &target.name, &format!("{error}, trying again"))?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let fresh = view.observed_generation >= target.generation;
            progress.say(context.io, &target.name, &doing(&view, fresh))?;
            if fresh && is_settled(view.status) {
                *done = Some(view);
            }
        }
        if settled.iter().all(Option::is_some) {
            return Ok(Outcome::Settled(settled.into_iter().flatten().collect()));
        }
        if Instant::now() >= deadline {
            let late = targets.iter().zip(&settled).filter(|(_, done)| done.is_none());
            return Ok(Outcome::TimedOut(late.map(|(target, _)| target.name.clone()).collect()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the same question may be answered a moment later: the server restarts or elects.
pub(crate) fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. } | Error::Timeout { .. })
        || matches!(error.status(), Some(429 | 502 | 503 | 504))
}

fn is_settled(status: WorkloadStatus) -> bool {
    match status {
        WorkloadStatus::Running
        | WorkloadStatus::Completed
        | WorkloadStatus::Reverted
        | WorkloadStatus::Failed => true,
        WorkloadStatus::Pending
        | WorkloadStatus::Progressing
        | WorkloadStatus::Degraded
        | WorkloadStatus::Reverting => false,
    }
}

/// What a workload is doing, in one line. What it did before the change does not count (`fresh`).
fn doing(view: &WorkloadView, fresh: bool) -> String {
    let ready = format!("{}/{} ready", view.ready, view.replicas);
    if !fresh {
        return format!("{ready}, change accepted");
    }
    let because = |words: &str| match reason(view) {
        "" => format!("{ready}, {words}"),
        reason => format!("{ready}, {words}: {reason}"),
    };
    match view.status {
        WorkloadStatus::Pending => because("waiting"),
        WorkloadStatus::Progressing if view.version <= 1 => because("starting"),
        WorkloadStatus::Progressing => because(&format!("updating to version {}", view.version)),
        WorkloadStatus::Running => format!("{ready}, running"),
        WorkloadStatus::Degraded => because("degraded"),
        WorkloadStatus::Reverting => because(&format!("going back to version {}", view.version)),
        WorkloadStatus::Reverted => format!("{ready}, back at version {}", view.version),
        WorkloadStatus::Failed => because("failed"),
        WorkloadStatus::Completed => "completed".to_owned(),
    }
}

/// The server's reason without the count of ready instances that it may begin with.
fn reason(view: &WorkloadView) -> &str {
    let is_count = |text: &str| text.split(' ').all(|word| word == "of" || word.parse::<u32>().is_ok());
    match view.message.split_once(" ready") {
        Some((count, rest)) if is_count(count) => rest.trim_start_matches(": "),
        Some(_) | None => &view.message,
    }
}

/// How a settled workload did, with the cause and the last words of the failed instance when it did not do well.
async fn verdict(context: &mut Context<'_>, view: &WorkloadView) -> Result<Exit, Fault> {
    let name = view.name.as_str();
    let reason = if view.message.is_empty() { "no reason was given" } else { &view.message };
    let (line, exit) = match view.status {
        WorkloadStatus::Reverted => {
            let from = view
                .reverted_from
                .map_or_else(|| "the update".to_owned(), |version| format!("version {version}"));
            (
                format!("error: {from} of {name} failed and version {} runs again: {reason}", view.version),
                Exit::Reverted,
            )
        }
        WorkloadStatus::Failed => (format!("error: {name} failed: {reason}"), Exit::Failed),
        WorkloadStatus::Running
        | WorkloadStatus::Completed
        | WorkloadStatus::Pending
        | WorkloadStatus::Progressing
        | WorkloadStatus::Degraded
        | WorkloadStatus::Reverting => return Ok(Exit::Ok),
    };
    context.talk(&line)?;
    // The verdict stands without the log; a log that cannot be had is no reason to say less.
    if let Ok(Ok(Some((instance, lines)))) =
        tokio::time::timeout(LINES_LIMIT, last_words(context, view)).await
    {
        let place = instance.node_name.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        context.talk(&format!("last lines of {}{place}:", instance.id))?;
        for line in lines {
            context.talk(&format!("  {line}"))?;
        }
    }
    context.talk(&format!("hint: `univrs workload explain {name}` and `univrs ps {name}` tell more"))?;
    Ok(exit)
}

/// The instance that failed and the last lines of its log.
async fn last_words(
    context: &Context<'_>,
    view: &WorkloadView,
) -> Result<Option<(InstanceView, Vec<String>)>, Error> {
    let name = view.name.as_str();
    let instances = context.client.instances(name, &Page::default()).await?.value()?.items;
    let badness = |instance: &InstanceView| match (instance.phase, instance.health) {
        (Phase::Failed, _) => 3,
        (_, Health::Failing) => 2,
        _ if instance.restarts > 0 || instance.exit_code.is_some_and(|code| code != 0) => 1,
        _ => 0,
    };
    let of_failed_version = |instance: &InstanceView| view.reverted_from == Some(instance.workload_revision);
    let Some(worst) = instances
        .into_iter()
        .filter(|instance| badness(instance) > 0)
        .max_by_key(|instance| (of_failed_version(instance), badness(instance), instance.created_at))
    else {
        return Ok(None);
    };
    let options =
        LogOptions { tail: Some(LAST_LINES), instance: Some(worst.id.to_string()), ..LogOptions::default() };
    let mut log = context.client.logs(name, &options).await?;
    let mut lines = Vec::new();
    while let Some(line) = log.next().await? {
        lines.push(line.text);
    }
    Ok(Some((worst, lines)))
}

/// Waits until a check says that something is so.
pub(crate) async fn until(
    context: &mut Context<'_>,
    what: &str,
    again: &str,
    mut look: impl AsyncFnMut(&mut Context<'_>, &mut Progress) -> Result<bool, Fault>,
) -> Result<Exit, Fault> {
    let deadline = Instant::now() + context.patience;
    let mut progress = Progress::new(context.io);
    let watch = async {
        loop {
            match look(context, &mut progress).await {
                Ok(true) => return Ok(Exit::Ok),
                Ok(false) => {}
                Err(Fault::Api(error)) if is_passing(&error) => {}
                Err(fault) => return Err(fault),
            }
            if Instant::now() >= deadline {
                return Ok(Exit::TimedOut);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let exit = tokio::select! {
        exit = watch => exit,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    };
    progress.finish(context.io)?;
    let exit = exit?;
    match exit {
        Exit::TimedOut => {
            context.talk(&format!("error: {what} has not happened within {}", span(context.patience)))?;
            context.talk(&format!("hint: `{again}` shows where it stands"))?;
        }
        Exit::Interrupted => {
            context.talk("detached; the change goes on")?;
            context.talk(&format!("hint: `{again}` shows where it stands"))?;
        }
        _ => {}
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::{doing, reason};

    #[test]
    fn reasons_do_not_repeat_the_count() {
        let mut view: univrs_model::rollout::WorkloadView = serde_json::from_value(serde_json::json!({
            "id": "wl_web", "name": "web", "org": "default", "revision": 1, "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z", "spec": {"name": "web", "image": "web:1"}, "generation": 1,
            "observed_generation": 1, "status": "progressing", "message": "", "version": 1, "reverted_from": null,
            "replicas": 2, "instances": 2, "ready": 0, "updated": 2}))
        .unwrap();
        for (message, expected) in [
            ("", "0/2 ready, starting"),
            ("0 of 2 ready", "0/2 ready, starting"),
            ("0 of 2 ready: waiting for its images", "0/2 ready, starting: waiting for its images"),
            ("not yet ready", "0/2 ready, starting: not yet ready"),
        ] {
            view.message = message.to_owned();
            assert_eq!(doing(&view, true), expected);
        }
        assert_eq!(reason(&view), "not yet ready");
    }
}
