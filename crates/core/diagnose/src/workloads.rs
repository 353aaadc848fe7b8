//! What is wrong with workloads.

use univrs_model::instance::Phase;
use univrs_model::rollout::WorkloadStatus;
use univrs_model::workload::{DependencyCondition, WorkloadKind};

use crate::{Code, Problem, Snapshot, WorkloadFacts, call, instances, placement};

pub(crate) fn find(snapshot: &Snapshot, facts: &WorkloadFacts) -> Vec<Problem> {
    let mut problems: Vec<Problem> = secrets(snapshot, facts).into_iter().collect();
    problems.extend(cron(snapshot, facts));
    let cause = dependency(snapshot, facts)
        .or_else(|| {
            instances::cause(facts).filter(|found| problems.iter().all(|known| known.code != found.code))
        })
        .or_else(|| waits_for_a_node(facts).then(|| placement::cause(snapshot, facts)));
    let found = cause.is_some() || !problems.is_empty();
    problems.extend(cause);
    // A version that was taken back is worth knowing of although all runs; its reason is in the message.
    if facts.view.status == WorkloadStatus::Reverted {
        problems.push(reverted(facts));
    } else if !found {
        problems.extend(stuck(snapshot, facts));
    }
    problems
}

fn secrets(snapshot: &Snapshot, facts: &WorkloadFacts) -> Option<Problem> {
    let known = snapshot.secrets.as_ref()?;
    let missing: Vec<&str> = facts
        .view
        .spec
        .secrets
        .iter()
        .map(|used| &used.name)
        .filter(|name| !known.contains(*name))
        .map(|name| name.as_str())
        .collect();
    let first = missing.first()?;
    let problem =
        Problem::of(Code::SecretMissing, facts, format!("there is no secret `{}`", missing.join("`, `")));
    Some(problem.evidence([facts.view.message.clone()]).fix(
        format!("set it with `univrs secret set {first}`, or take it out of the workload"),
        call("workload_get", &facts.view.name),
    ))
}

fn cron(snapshot: &Snapshot, facts: &WorkloadFacts) -> Option<Problem> {
    let schedule =
        facts.view.spec.schedule.as_ref().filter(|_| facts.view.spec.kind == WorkloadKind::Cron)?;
    let name = &facts.view.name;
    let [next, after] = facts.next_runs.as_slice() else {
        let cause = format!("its schedule `{}` names no time to come", schedule.cron);
        return facts.next_runs.is_empty().then(|| {
            Problem::of(Code::CronNeverFires, facts, cause).evidence([facts.view.message.clone()]).fix(
                "correct the day, month or timezone of `schedule.cron`",
                format!(
                    "workload_update {{\"name\":\"{name}\",\"patch\":{{\"schedule\":{{\"cron\":\"…\"}}}}}}"
                ),
            )
        });
    };
    let between = after.duration_since(*next);
    let long = facts.instances.iter().find(|instance| {
        !instance.phase.is_terminal() && snapshot.now.duration_since(instance.created_at) > between
    })?;
    let cause = format!("a run has lasted since {}, longer than the time between runs", long.created_at);
    let problem = Problem::of(Code::CronBlocked, facts, cause).warning();
    Some(problem.evidence([format!("{} {:?}: {}", long.id, long.phase, long.message)]).fix(
        "see why the run does not end; let runs overlap or replace each other with `schedule.overlap`",
        call("workload_logs", name),
    ))
}

/// A workload that does not begin because another is not there.
fn dependency(snapshot: &Snapshot, facts: &WorkloadFacts) -> Option<Problem> {
    let name = &facts.view.name;
    if !facts.view.message.contains("waiting for ") {
        return None;
    }
    facts.view.spec.depends_on.iter().find_map(|dependency| {
        let wanted = &dependency.workload;
        let other = snapshot.workloads.iter().find(|other| other.view.name == *wanted);
        let (cause, fix, next) = match other {
            None => (
                format!("it waits for workload `{wanted}`, which does not exist"),
                format!("deploy `{wanted}`, or correct the name under `depends_on`"),
                call("workload_get", name),
            ),
            Some(other) => {
                let met = match dependency.condition {
                    DependencyCondition::Started | DependencyCondition::Healthy => other.view.ready > 0,
                    DependencyCondition::Completed => other.view.status == WorkloadStatus::Completed,
                };
                if met {
                    return None;
                }
                (
                    format!(
                        "it waits for `{wanted}`, which is {:?}: {}",
                        other.view.status, other.view.message
                    )
                    .to_lowercase(),
                    format!("mend `{wanted}` first; `{name}` follows by itself"),
                    format!("find_problems {{\"workload\":\"{wanted}\"}}"),
                )
            }
        };
        let problem = Problem::of(Code::DependencyUnmet, facts, cause).evidence([facts.view.message.clone()]);
        Some(problem.fix(fix, next))
    })
}

fn waits_for_a_node(facts: &WorkloadFacts) -> bool {
    let pending = facts.instances.iter().any(|instance| instance.phase == Phase::Pending);
    let daemon_nowhere = facts.view.spec.kind == WorkloadKind::Daemon && facts.view.instances == 0;
    (pending || daemon_nowhere) && facts.placement.feasible == 0
}

fn reverted(facts: &WorkloadFacts) -> Problem {
    let version = facts.view.reverted_from.map_or_else(String::new, |version| format!(" {version}"));
    let cause = format!("version{version} failed and was taken back: {}", facts.view.message);
    Problem::of(Code::RolloutReverted, facts, cause).warning().evidence([facts.view.message.clone()]).fix(
        "correct what the message names and update again; the version before runs meanwhile",
        format!("events_timeline {{\"workload\":\"{}\"}}", facts.view.name),
    )
}

/// A change that has not moved for half of its deadline, or a workload that failed for no cause known here.
fn stuck(snapshot: &Snapshot, facts: &WorkloadFacts) -> Option<Problem> {
    let view = &facts.view;
    let timeline = format!("events_timeline {{\"workload\":\"{}\"}}", view.name);
    match view.status {
        WorkloadStatus::Failed => {
            let problem = Problem::of(Code::Failed, facts, format!("it failed: {}", view.message));
            Some(problem.fix("see what happened before, and change what the message names", timeline))
        }
        WorkloadStatus::Progressing | WorkloadStatus::Reverting | WorkloadStatus::Degraded => {
            let still = snapshot.now.duration_since(facts.progressed_at?);
            let deadline =
                jiff::SignedDuration::try_from(view.spec.update.deadline.duration()).unwrap_or_default();
            if still < deadline / 2 {
                return None;
            }
            let cause = format!(
                "it has not moved for {} s: {} of {} ready",
                still.as_secs(),
                view.ready,
                view.replicas
            );
            let problem = Problem::of(Code::RolloutStuck, facts, cause).evidence([view.message.clone()]);
            Some(
                problem.fix(
                    "see which instances are not ready and why; go back with workload_rollback",
                    timeline,
                ),
            )
        }
        _ => None,
    }
}
