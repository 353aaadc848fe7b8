//! One placed replica: what the control plane assigned, what the node observed, and what people see of both.
//!
//! The control plane alone writes [`Assignment`]s; the node alone writes [`Observation`]s. A phase only moves
//! forward: a container that restarts stays in phase `running` and counts one more restart.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{InstanceId, NodeId, WorkloadId};
use crate::name::Name;
use crate::secret::SecretVersion;
use crate::workload::{Requests, WorkloadSpec};

/// Where an instance is in its life. Order is the only direction of movement.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Wanted, not yet placed.
    #[default]
    Pending,
    /// Placed, not yet taken up by the node.
    Assigned,
    /// Its images are being fetched.
    Pulling,
    /// Its containers are being made.
    Starting,
    /// Its containers run (or are between restarts).
    Running,
    /// It is being ended.
    Stopping,
    /// It ended as wanted (for jobs: with code 0).
    Stopped,
    /// It ended and will not be tried again here.
    Failed,
    /// Its node went away and it was replaced or given up.
    Lost,
}

impl Phase {
    /// Whether nothing will change any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed | Self::Lost)
    }

    /// Whether it takes up room on its node.
    pub const fn holds_resources(self) -> bool {
        matches!(self, Self::Assigned | Self::Pulling | Self::Starting | Self::Running | Self::Stopping)
    }
}

/// What the checks say of an instance.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It has no check: running counts as passing.
    #[default]
    None,
    /// Not yet passed, still allowed to fail.
    Starting,
    /// Passing.
    Passing,
    /// Failing.
    Failing,
}

/// What the control plane wants of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Run it.
    #[default]
    Run,
    /// End it.
    Stop,
}

/// An instance as the control plane wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its id; never used again.
    pub id: InstanceId,
    /// Its organisation.
    pub org: Name,
    /// Id of its workload.
    pub workload_id: WorkloadId,
    /// Name of its workload.
    pub workload: Name,
    /// Which revision of the workload it runs (see [`crate::rollout::Rollout`]).
    pub workload_revision: u64,
    /// Position among its siblings, from 0; a replacement takes its predecessor's.
    pub slot: u32,
    /// What it asks of its node.
    pub requests: Requests,
    /// Where it is placed; absent while pending.
    pub node: Option<NodeId>,
    /// What is wanted of it.
    pub desired: Desired,
    /// Grows with every change; a node refuses an older one.
    pub fence: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When `desired` became `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_requested_at: Option<Timestamp>,
    /// Why it was last changed (placed, replaced, scaled down), or why it waits, for people.
    #[serde(default)]
    pub reason: String,
    /// Set when its node is lost and it has been given up.
    #[serde(default)]
    pub lost: bool,
}

/// An instance as its node last saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Which instance.
    pub id: InstanceId,
    /// The fence of the assignment that was acted upon.
    pub fence: u64,
    /// Where it is in its life.
    pub phase: Phase,
    /// What its checks say.
    pub health: Health,
    /// Since when `health` has had this value.
    pub health_since: Timestamp,
    /// Its address in the node's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When its containers last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How often containers were restarted.
    #[serde(default)]
    pub restarts: u32,
    /// Exit code of the container that ended last, if any did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What is wrong or being waited for, for people.
    #[serde(default)]
    pub message: String,
    /// The digest that each container's image resolved to, by container name.
    #[serde(default)]
    pub images: std::collections::BTreeMap<String, String>,
}

impl Observation {
    /// The observation of an instance that its node has just taken up.
    pub fn taken_up(id: InstanceId, fence: u64, now: Timestamp) -> Self {
        Self {
            id,
            fence,
            phase: Phase::Assigned,
            health: Health::None,
            health_since: now,
            address: None,
            started_at: None,
            ended_at: None,
            restarts: 0,
            exit_code: None,
            message: String::new(),
            images: std::collections::BTreeMap::new(),
        }
    }
}

/// An assignment, its observation, and what both together mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What is wanted.
    pub assignment: Assignment,
    /// What was seen, if anything was.
    pub observation: Option<Observation>,
    /// Whether its node can be heard.
    pub reachable: bool,
}

impl Instance {
    /// Where it is in its life, taking the control plane's knowledge and the node's together.
    pub fn phase(&self) -> Phase {
        if self.assignment.lost {
            return Phase::Lost;
        }
        let placed = match (&self.assignment.node, self.assignment.desired) {
            (None, Desired::Stop) => return Phase::Stopped,
            (None, Desired::Run) => Phase::Pending,
            (Some(_), _) => Phase::Assigned,
        };
        let seen = self.observation.as_ref().map_or(placed, |observation| observation.phase.max(placed));
        match self.assignment.desired {
            Desired::Stop if !seen.is_terminal() => Phase::Stopping,
            Desired::Run | Desired::Stop => seen,
        }
    }

    /// What its checks say.
    pub fn health(&self) -> Health {
        self.observation.as_ref().map_or(Health::None, |observation| observation.health)
    }

    /// Whether it serves: running, not being stopped, heard, and not failing its checks.
    pub fn serves(&self) -> bool {
        self.phase() == Phase::Running
            && self.reachable
            && matches!(self.health(), Health::None | Health::Passing)
    }

    /// Since when it has been serving without a break.
    pub fn serving_since(&self) -> Option<Timestamp> {
        let observation = self.observation.as_ref().filter(|_| self.serves())?;
        match observation.health {
            Health::None => observation.started_at,
            Health::Starting | Health::Passing | Health::Failing => Some(
                observation
                    .started_at
                    .map_or(observation.health_since, |start| start.max(observation.health_since)),
            ),
        }
    }
}

/// An instance as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// Its id.
    pub id: InstanceId,
    /// Name of its workload.
    pub workload: Name,
    /// Which revision of the workload it runs.
    pub workload_revision: u64,
    /// Id of its node.
    pub node: Option<NodeId>,
    /// Name of its node.
    pub node_name: Option<Name>,
    /// Its node's cloud.
    pub cloud: Option<String>,
    /// Its node's region.
    pub region: Option<String>,
    /// Its address in the node's network.
    pub address: Option<String>,
    /// Where it is in its life.
    pub phase: Phase,
    /// What its checks say.
    pub health: Health,
    /// The first container's image.
    pub image: String,
    /// When its containers last started.
    pub started_at: Option<Timestamp>,
    /// Exit code of the container that ended last, if any did.
    pub exit_code: Option<i32>,
    /// How often containers were restarted.
    pub restarts: u32,
    /// Whether its node can be heard.
    pub reachable: bool,
    /// What is wrong or being waited for.
    pub message: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a node needs to run an instance: the assignment and the spec of its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceOrder {
    /// What is wanted.
    pub assignment: Assignment,
    /// The spec of the assignment's workload revision.
    pub spec: std::sync::Arc<WorkloadSpec>,
    /// Which value of each secret it is to have; a secret that does not exist is missing here.
    #[serde(default)]
    pub secrets: std::collections::BTreeMap<Name, SecretVersion>,
}

#[cfg(test)]
mod tests {
    use super::{Assignment, Desired, Instance, Observation, Phase};
    use crate::ids::{InstanceId, NodeId, WorkloadId};
    use crate::name::Name;
    use crate::workload::Requests;

    fn instance(node: bool, desired: Desired, seen: Option<Phase>) -> Instance {
        let id = InstanceId::from_bits(1);
        let assignment = Assignment {
            id: id.clone(),
            org: Name::default_org(),
            workload_id: WorkloadId::from_bits(1),
            workload: "web".parse().unwrap(),
            workload_revision: 1,
            slot: 0,
            requests: Requests::default(),
            node: node.then(|| NodeId::from_bits(1)),
            desired,
            fence: 1,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            stop_requested_at: None,
            reason: String::new(),
            lost: false,
        };
        let observation = seen
            .map(|phase| Observation { phase, ..Observation::taken_up(id, 1, jiff::Timestamp::UNIX_EPOCH) });
        Instance { assignment, observation, reachable: true }
    }

    #[test]
    fn the_phase_joins_both_views() {
        for (node, desired, seen, phase) in [
            (false, Desired::Run, None, Phase::Pending),
            (false, Desired::Stop, None, Phase::Stopped),
            (true, Desired::Run, None, Phase::Assigned),
            (true, Desired::Run, Some(Phase::Running), Phase::Running),
            (true, Desired::Stop, Some(Phase::Running), Phase::Stopping),
            (true, Desired::Stop, Some(Phase::Stopped), Phase::Stopped),
            (true, Desired::Run, Some(Phase::Failed), Phase::Failed),
        ] {
            assert_eq!(instance(node, desired, seen).phase(), phase);
        }
    }
}
