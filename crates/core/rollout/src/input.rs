//! What [`crate::plan()`] looks at and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use univrs_model::Timestamp;
use univrs_model::event::Event;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{Assignment, Instance};
use univrs_model::name::Name;
use univrs_model::rollout::{Rollout, Workload};
use univrs_model::secret::SecretVersion;

/// Everything that decides about one workload.
#[derive(Clone, Debug)]
pub struct RolloutInput {
    /// What is wanted.
    pub workload: Workload,
    /// What was known when it was last planned; absent for a new workload.
    pub rollout: Option<Rollout>,
    /// Every assignment that is not yet removed, with its observation. `reachable` is false once the lease of
    /// the instance's node has run out.
    pub instances: Vec<Instance>,
    /// The workloads that this one waits for; a missing name counts as one that does not exist.
    pub dependencies: BTreeMap<Name, DependencyState>,
    /// The newest value of each secret that the workload or one of its kept versions uses; a missing name is a
    /// secret that does not exist.
    pub secrets: BTreeMap<Name, SecretVersion>,
    /// For daemons: the nodes that should have an instance. A node whose lease ran out stays in the list until
    /// it is removed, so that a short absence moves nothing.
    pub eligible_nodes: Vec<NodeId>,
    /// Nodes that are being drained: instances there are replaced as in an update.
    pub draining: BTreeSet<NodeId>,
    /// The time.
    pub now: Timestamp,
    /// Random bits from which the ids of new instances are derived; the same seed gives the same ids.
    pub id_seed: u128,
}

/// What a workload that others wait for has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DependencyState {
    /// There is such a workload.
    pub exists: bool,
    /// At least one instance runs.
    pub started: bool,
    /// As many instances serve as are wanted.
    pub healthy: bool,
    /// It is a job that ended with success.
    pub completed: bool,
}

/// What must be written for the workload to move on. Empty parts need no write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is known of the workload's versions from now on; write it when it differs from the stored one.
    pub rollout: Rollout,
    /// Instances to make. Without a node they are to be placed; a daemon's carry their node already.
    pub create: Vec<Assignment>,
    /// Instances to end: the assignment with `desired` stop and a higher fence.
    pub update: Vec<Assignment>,
    /// Instances whose record can go: ended ones, and ones that were never placed. Remove each only at the
    /// revision that was planned upon, since one may be placed meanwhile.
    pub forget: Vec<InstanceId>,
    /// Whether the workload's record and its rollout can go: it was deleted and nothing is left of it.
    pub remove_workload: bool,
    /// What happened by this decision.
    pub events: Vec<Event>,
    /// When to look again if nothing else happens before.
    pub wake_at: Option<Timestamp>,
}
