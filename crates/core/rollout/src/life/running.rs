//! Containers: starting them, and starting them again.
//!
//! The first restart is immediate, the next waits `initial`, each later one twice as long, at most `max`. A
//! container that ran for [`crate::RESET_AFTER`] (or `max`, if longer) starts the series anew. Work that ends
//! (jobs, cron) is restarted only after a failure, at most [`JOB_RESTARTS`] times.

use univrs_model::Timestamp;
use univrs_model::instance::{Health, Phase};
use univrs_model::name::Name;
use univrs_model::span::Span;
use univrs_model::workload::{OnChange, RestartWhen, WorkloadKind};

use super::{ContainerSeen, LifeStep, Now, Trouble};
use crate::backoff::RESET_AFTER;
use crate::work::{later, over};

/// How often the containers of a job are restarted after failures.
pub const JOB_RESTARTS: u32 = 5;

/// How one attempt of a container ended.
struct End {
    attempt: u32,
    at: Timestamp,
    since: Option<Timestamp>,
    success: bool,
    what: String,
    /// Whether another attempt cannot help.
    hopeless: bool,
}

/// What the containers amount to together.
#[derive(Default)]
struct Sum {
    running: usize,
    done: usize,
    started_at: Option<Timestamp>,
    failing: bool,
    unproven: bool,
    checked: bool,
    down: bool,
    message: String,
}

impl Now<'_> {
    pub(crate) fn is_service(&self) -> bool {
        matches!(self.order.spec.kind, WorkloadKind::Service | WorkloadKind::Daemon)
    }

    /// Counts restarts on from what was reported, should the memory be new.
    pub(crate) fn remember_restarts(&mut self) {
        if self.memory.begun {
            return;
        }
        self.memory.begun = true;
        let attempts: u32 = self.seen.containers.values().filter_map(attempt_of).sum();
        // Containers that vanished with their node's restart are started anew, which is a restart.
        let ran = self.observation.started_at.is_some();
        let vanished =
            self.containers.iter().filter(|c| attempt_of(&self.seen_container(&c.name)).is_none()).count();
        let vanished = if ran { u32::try_from(vanished).unwrap_or(0) } else { 0 };
        self.memory.restarts_before = (self.observation.restarts + vanished).saturating_sub(attempts);
    }

    /// Starts, restarts and probes; decides the end when the containers have come to one.
    pub(crate) fn run(&mut self) {
        let mut sum = Sum::default();
        for container in self.containers.clone() {
            let name = &container.name;
            match self.seen_container(name) {
                ContainerSeen::Absent => {
                    let attempt = self.remembered(name).attempt.map_or(0, |last| last + 1);
                    self.steps.push(LifeStep::StartContainer { name: name.clone(), attempt });
                    sum.down = true;
                }
                ContainerSeen::Starting => sum.down = true,
                ContainerSeen::Running { attempt, since } => {
                    sum.running += 1;
                    sum.started_at = sum.started_at.max(Some(since));
                    let remembered = self.remembered(name);
                    remembered.attempt = Some(attempt);
                    if self.has_renewed_secrets(name) {
                        self.steps.push(LifeStep::RenewSecrets { name: name.clone() });
                    }
                    let health = self.check(&container, attempt, since);
                    match health {
                        Health::None => {}
                        Health::Starting => (sum.checked, sum.unproven) = (true, true),
                        Health::Passing => sum.checked = true,
                        Health::Failing => (sum.checked, sum.failing) = (true, true),
                    }
                    if health == Health::Failing {
                        let last = self.seen.probes.get(name).and_then(|probe| probe.last.as_ref());
                        sum.message = match last {
                            Some(last) if !last.passed => format!("{name} fails its check: {}", last.message),
                            Some(_) | None => format!("{name} failed its check and has not passed since"),
                        };
                    }
                }
                ContainerSeen::Exited { attempt, since, code, out_of_memory, at } => {
                    let unhealthy = self.remembered(name).unhealthy == Some(attempt);
                    let what = match (out_of_memory, unhealthy, code) {
                        (true, ..) => format!("{name} was killed: out of memory"),
                        (_, true, _) => format!("{name} was stopped because it failed its check"),
                        (.., Some(code)) => format!("{name} ended with code {code}"),
                        (.., None) => format!("{name} ended"),
                    };
                    if self.memory.last_exit.is_none_or(|(last, _)| last < at) {
                        self.memory.last_exit = Some((at, code));
                    }
                    let success = code == Some(0) && !unhealthy && !out_of_memory;
                    let end = End { attempt, at, since: Some(since), success, what, hopeless: false };
                    self.after_end(name, end, &mut sum);
                }
                ContainerSeen::NotStarted { attempt, trouble: Trouble { message, temporary, at, .. } } => {
                    let what = format!("{name} cannot start: {message}");
                    let end = End { attempt, at, since: None, success: false, what, hopeless: !temporary };
                    self.after_end(name, end, &mut sum);
                }
            }
        }
        self.report(sum);
    }

    /// Whether a secret with `on_change = signal` has another value than the container was given.
    fn has_renewed_secrets(&self, name: &Name) -> bool {
        let Some(delivered) = self.seen.secrets.get(name) else { return false };
        let uses = self.order.spec.secrets.iter().filter(|uses| uses.on_change == OnChange::Signal);
        uses.filter_map(|uses| Some((self.order.secrets.get(&uses.name)?, delivered.get(&uses.name)?)))
            .any(|(newest, delivered)| newest != delivered)
    }

    /// Decides what follows the end of a container's attempt.
    fn after_end(&mut self, name: &Name, end: End, sum: &mut Sum) {
        let policy = self.order.spec.restart.clone();
        let service = self.is_service();
        let now = self.now;
        let again = match (policy.policy, end.success) {
            (RestartWhen::Always, true) => service,
            (RestartWhen::Always | RestartWhen::OnFailure, false) => service || end.attempt < JOB_RESTARTS,
            (RestartWhen::OnFailure, true) | (RestartWhen::Never, _) => false,
        };
        let remembered = self.remembered(name);
        remembered.attempt = Some(end.attempt);
        if remembered.counted != Some(end.attempt) {
            let reset = RESET_AFTER.max(policy.max);
            let long = end.since.is_some_and(|since| later(since, reset) <= end.at);
            remembered.streak = if long { 1 } else { remembered.streak + 1 };
            remembered.counted = Some(end.attempt);
        }
        remembered.failing |= remembered.unhealthy == Some(end.attempt);
        if !again || end.hopeless {
            if end.success {
                sum.done += 1;
            } else {
                self.end_as(Phase::Failed, end.what);
            }
            return;
        }
        let due = over(end.at, wait(remembered.streak, policy.initial, policy.max), now);
        sum.down = true;
        sum.failing |= remembered.failing;
        sum.message = format!("{}; restart {} is due at {due}", end.what, end.attempt + 1);
        if due <= now {
            self.steps.push(LifeStep::StartContainer { name: name.clone(), attempt: end.attempt + 1 });
        } else {
            self.wake(due);
        }
    }

    /// Reports what the containers amount to.
    fn report(&mut self, sum: Sum) {
        let all = self.containers.len();
        let attempts: u32 = self.memory.containers.values().filter_map(|c| c.attempt).sum();
        self.observation.restarts = self.observation.restarts.max(self.memory.restarts_before + attempts);
        self.observation.exit_code =
            self.memory.last_exit.map_or(self.observation.exit_code, |(_, code)| code);
        self.observation.address.clone_from(&self.seen.address);
        if let Some(started) = sum.started_at {
            self.observation.started_at = Some(started);
        }
        if sum.running + sum.done == all {
            self.reach(Phase::Running);
        }
        let health = match (sum.failing, sum.down || sum.unproven, sum.checked) {
            (true, ..) => Health::Failing,
            (_, true, _) => Health::Starting,
            (.., true) => Health::Passing,
            (.., false) => Health::None,
        };
        self.set_health(health);
        self.observation.message = sum.message;
        if sum.done == all {
            self.end_as(Phase::Stopped, "");
        }
    }
}

fn attempt_of(seen: &ContainerSeen) -> Option<u32> {
    match seen {
        ContainerSeen::Absent | ContainerSeen::Starting => None,
        ContainerSeen::Running { attempt, .. }
        | ContainerSeen::Exited { attempt, .. }
        | ContainerSeen::NotStarted { attempt, .. } => Some(*attempt),
    }
}

/// The wait before a restart, after so many ends in a row.
fn wait(streak: u32, initial: Span, max: Span) -> Span {
    match streak {
        0 | 1 => Span::ZERO,
        streak => {
            let factor = 1_u64 << (streak - 2).min(32);
            Span::millis(initial.as_millis().saturating_mul(factor)).min(max.max(initial))
        }
    }
}
