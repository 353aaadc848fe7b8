//! What instances say of their own troubles.

use univrs_model::instance::{Health, InstanceView, Phase};

use crate::{Code, Problem, WorkloadFacts, call, plural};

/// So many restarts are no accident.
const RESTARTS: u32 = 3;

/// The cause nearest to the root among the instances of a workload that are not as they should be.
pub(crate) fn cause(facts: &WorkloadFacts) -> Option<Problem> {
    let version = facts.view.version;
    // Of what ended, the newest says what is wrong now; a slot that runs again is no problem.
    let live = facts.instances.iter().filter(|instance| !instance.phase.is_terminal());
    let ended = facts.instances.iter().filter(|instance| instance.phase == Phase::Failed);
    let newest_ended = ended.filter(|instance| instance.workload_revision == version).take(1);
    let waits = facts.view.ready < facts.view.replicas;
    let looked_at = live.chain(newest_ended.filter(|_| waits));
    looked_at.filter(|instance| instance.reachable).find_map(|instance| of(facts, instance))
}

fn of(facts: &WorkloadFacts, instance: &InstanceView) -> Option<Problem> {
    let said = instance.message.as_str();
    let lower = said.to_lowercase();
    let name = &facts.view.name;
    let same = facts.instances.iter().filter(|other| {
        !other.phase.is_terminal() && other.message.split(';').next() == said.split(';').next()
    });
    let evidence = [
        format!("{} {:?}, {} restarts: {said}", instance.id, instance.phase, instance.restarts),
        format!("{} in the same state", plural(same.count().max(1), "instance")),
    ];
    let preparing = lower.contains("its images");
    let problem = if preparing && (lower.contains("image") && !lower.contains("no space left")) {
        let cause = format!("image `{}` cannot be used: {}", instance.image, after(said, "its images: "));
        Problem::of(Code::ImageMissing, facts, cause).fix(
            "name an image that exists: correct the reference or tag, push it, or import it on the node \
             (`univrs image ls`, `univrs image import`)",
            format!("workload_update {{\"name\":\"{name}\",\"image\":\"…\"}}"),
        )
    } else if speaks_of_a_secret(&lower) {
        Problem::of(Code::SecretMissing, facts, format!("a secret is missing: {said}")).fix(
            "set it with `univrs secret set`, or take it out of the workload",
            call("workload_get", name),
        )
    } else if lower.contains("address already in use") || lower.contains("address in use") {
        Problem::of(Code::PortClash, facts, format!("a port is taken: {said}")).fix(
            "give it another `host_port`, or stop what holds the port on that node",
            call("workload_get", name),
        )
    } else if lower.contains("out of memory") {
        let cause = "its container is killed because it needs more memory than its limit".to_owned();
        Problem::of(Code::OutOfMemory, facts, cause).fix(
            "raise `resources.memory_limit` (and `memory`), or find what the program keeps",
            call("workload_logs", name),
        )
    } else if lower.contains("cannot start") || lower.contains("cannot prepare") {
        Problem::of(Code::CannotStart, facts, format!("its container cannot start: {said}")).fix(
            "correct the command, user, mounts or image; the message names what is wrong",
            call("workload_get", name),
        )
    } else if instance.restarts >= RESTARTS && !steady(instance) || ended_badly(instance) {
        let code = instance.exit_code.map_or_else(String::new, |code| format!(" with code {code}"));
        let cause = format!("its container keeps ending{code}; it was restarted {} times", instance.restarts);
        Problem::of(Code::CrashLoop, facts, cause).fix(
            "read the last lines of its log for the reason; go back with workload_rollback if a new version did it",
            call("workload_logs", name),
        )
    } else if instance.health == Health::Failing {
        Problem::of(Code::FailingHealth, facts, format!("it runs and fails its check: {said}")).fix(
            "see whether the check asks the right port and path and allows enough time; else the program is at fault",
            call("workload_logs", name),
        )
    } else {
        return None;
    };
    Some(problem.evidence(evidence))
}

/// Whether the trouble is with a secret, and not with something else that is prepared together with secrets.
fn speaks_of_a_secret(lower: &str) -> bool {
    lower.split_once("its volumes and secrets").map_or(lower, |(_, rest)| rest).contains("secret")
}

/// Whether it serves again after its restarts.
fn steady(instance: &InstanceView) -> bool {
    instance.phase == Phase::Running
        && matches!(instance.health, Health::Passing | Health::None)
        && !instance.message.contains("restart ")
}

fn ended_badly(instance: &InstanceView) -> bool {
    instance.phase == Phase::Failed && instance.exit_code.is_some_and(|code| code != 0)
}

/// What follows `mark`, or the whole.
fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or(text, |(_, rest)| rest)
}
