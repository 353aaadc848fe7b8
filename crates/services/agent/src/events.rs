//! What is worth telling when an instance's observation changes. Pure.

use univrs_model::Timestamp;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::NodeId;
use univrs_model::instance::{Health, InstanceOrder, Observation, Phase};
use univrs_model::name::Name;

/// The events that lie between two observations of one instance.
pub(crate) fn between(
    order: &InstanceOrder,
    node: &NodeId,
    before: Option<&Observation>,
    after: &Observation,
    now: Timestamp,
) -> Vec<Event> {
    let mut events = Vec::new();
    let mut tell = |kind, severity, message: String| {
        events.push(Event {
            at: now,
            kind,
            severity,
            workload: Some(order.assignment.workload.clone()),
            instance: Some(after.id.clone()),
            node: Some(node.clone()),
            message,
        });
    };
    let workload = &order.assignment.workload;
    let because = |message: &str| if message.is_empty() { String::new() } else { format!(": {message}") };
    let phase_before = before.map_or(Phase::Assigned, |seen| seen.phase);
    if phase_before != after.phase {
        match after.phase {
            Phase::Running => {
                tell(EventKind::InstanceStarted, Severity::Info, format!("an instance of {workload} started"))
            }
            Phase::Stopped => {
                tell(
                    EventKind::InstanceStopped,
                    Severity::Info,
                    format!("an instance of {workload} stopped{}", because(&after.message)),
                );
            }
            Phase::Failed => {
                tell(
                    EventKind::InstanceFailed,
                    Severity::Error,
                    format!("an instance of {workload} failed{}", because(&after.message)),
                );
            }
            Phase::Pending
            | Phase::Assigned
            | Phase::Pulling
            | Phase::Starting
            | Phase::Stopping
            | Phase::Lost => {}
        }
    }
    if before.is_some_and(|seen| seen.restarts < after.restarts) {
        let message = format!(
            "an instance of {workload} was restarted, {} times in all{}",
            after.restarts,
            because(&after.message)
        );
        tell(EventKind::InstanceRestarted, Severity::Warning, message);
    }
    let health_before = before.map_or(Health::None, |seen| seen.health);
    if health_before != after.health {
        match after.health {
            Health::Passing => tell(
                EventKind::InstanceHealthy,
                Severity::Info,
                format!("an instance of {workload} passes its checks"),
            ),
            Health::Failing => {
                tell(
                    EventKind::InstanceUnhealthy,
                    Severity::Warning,
                    format!("an instance of {workload} fails its checks{}", because(&after.message)),
                );
            }
            Health::None | Health::Starting => {}
        }
    }
    events
}

/// The event of a running container that got new values of secrets.
pub(crate) fn secrets_renewed(
    order: &InstanceOrder,
    node: &NodeId,
    container: &Name,
    now: Timestamp,
) -> Event {
    let assignment = &order.assignment;
    Event {
        at: now,
        kind: EventKind::SecretRenewed,
        severity: Severity::Info,
        workload: Some(assignment.workload.clone()),
        instance: Some(assignment.id.clone()),
        node: Some(node.clone()),
        message: format!("container {container} of {} got new secrets and SIGHUP", assignment.workload),
    }
}
