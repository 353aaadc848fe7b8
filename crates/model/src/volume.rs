//! Named local volumes: data that lives on one node and outlives the instances that use it.
//!
//! A volume belongs to a place among a workload's instances, so that a replacement finds its predecessor's data, and
//! ties that place to the node that holds it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{NodeId, VolumeId};
use crate::instance::Assignment;
use crate::name::Name;
use crate::quantity::Bytes;
use crate::workload::{WorkloadKind, WorkloadSpec};

/// A volume as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its id; never used again.
    pub id: VolumeId,
    /// Its organisation.
    pub org: Name,
    /// The workload it belongs to; it stays when that is removed.
    pub workload: Name,
    /// Its name in the workload.
    pub name: Name,
    /// Whose it is among the workload's instances: see [`place`].
    pub place: String,
    /// The node that holds it.
    pub node: NodeId,
    /// The space that was set aside for it.
    #[serde(default)]
    pub size: Option<Bytes>,
    /// The space beyond which more was to be refused when it was made; the size when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Bytes>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Set when its node is to remove it; the record goes with the data.
    #[serde(default)]
    pub removing: bool,
}

impl Volume {
    /// Where it lies, below the node's directory of volumes.
    pub fn path(&self) -> PathBuf {
        path(&self.org, &self.workload, &self.name, &self.place)
    }
}

/// Where a volume lies, below the node's directory of volumes.
pub fn path(org: &Name, workload: &Name, name: &Name, place: &str) -> PathBuf {
    [org.as_str(), workload.as_str(), name.as_str(), place].iter().collect()
}

/// Whose an instance's volumes are: its slot's, or for daemons its node's. Absent for a daemon without a node.
pub fn place(assignment: &Assignment, spec: &WorkloadSpec) -> Option<String> {
    match spec.kind {
        WorkloadKind::Daemon => assignment.node.as_ref().map(ToString::to_string),
        WorkloadKind::Service | WorkloadKind::Job | WorkloadKind::Cron => Some(assignment.slot.to_string()),
    }
}

/// Whether a volume can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeState {
    /// Instances use it.
    InUse,
    /// Nobody uses it now.
    Free,
    /// Its node is to remove it.
    Removing,
}

/// A volume as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeView {
    /// Its id.
    pub id: VolumeId,
    /// Its name in the workload.
    pub name: Name,
    /// Its organisation.
    pub org: Name,
    /// The workload it belongs to.
    pub workload: Name,
    /// Whose it is among the workload's instances: a slot, or for daemons a node.
    pub place: String,
    /// Id of the node that holds it.
    pub node: NodeId,
    /// Name of that node.
    pub node_name: Option<Name>,
    /// Space that was set aside for it on the node.
    pub size: Option<Bytes>,
    /// Space beyond which more is refused, as it was when it was made.
    pub limit: Option<Bytes>,
    /// Whether more than `limit` is refused, as its node says. A volume without a size, one that was a directory before
    /// it had one, and every one of a node without loop devices can grow without bound.
    pub size_enforced: bool,
    /// Whether it can be used.
    pub state: VolumeState,
    /// Revision of its last change in the store.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
}
