//! What happened, in the past tense: the append-only log that feeds every screen, audit, alert and meter.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{InstanceId, NodeId};
use crate::name::Name;

/// How much an event matters to a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Things are as they should be.
    #[default]
    Info,
    /// Worth a look.
    Warning,
    /// Someone should act.
    Error,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What kind of thing, such as `instance_started`.
    pub kind: EventKind,
    /// How much it matters.
    pub severity: Severity,
    /// The workload it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Name>,
    /// The instance it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The node it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// One sentence for people, without a final period.
    pub message: String,
}

/// The kinds of events; the list only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each name says what happened")]
pub enum EventKind {
    NodeCordoned,
    NodeUncordoned,
    NodeRemoved,
    WorkloadCreated,
    WorkloadUpdated,
    WorkloadScaled,
    WorkloadDeleted,
    WorkloadRemoved,
    RolloutStarted,
    RolloutCompleted,
    RolloutFailed,
    RolloutReverted,
    InstancePlaced,
    InstanceUnplaceable,
    InstanceStarted,
    InstanceRestarted,
    InstanceHealthy,
    InstanceUnhealthy,
    InstanceStopped,
    InstanceFailed,
    InstanceLost,
    InstancePreempted,
    SecretSet,
    SecretRemoved,
    SecretRenewed,
    WorkloadWaiting,
    VolumeRemoved,
    ImagesCollected,
    RunScheduled,
    RunSkipped,
    OperationEnded,
    NodeJoined,
    ResourceActive,
    ResourceDegraded,
    ResourceFailed,
    ResourceRemoved,
    PortSkipped,
    EgressSpent,
    AlertFired,
    AlertResolved,
    AlertUndelivered,
    CertificateIssued,
    CertificateFailed,
}

/// An event as people see it, with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Revision of the write that recorded it.
    pub revision: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
