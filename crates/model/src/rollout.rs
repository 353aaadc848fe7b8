//! A workload as stored: the user's document, and beside it what the control plane knows of its versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::WorkloadId;
use crate::name::Name;
use crate::secret::SecretVersion;
use crate::workload::WorkloadSpec;

/// How many revisions of a workload are kept for `rollback`.
pub const KEPT_REVISIONS: usize = 10;

/// The user's document and its identity. Written by the faces only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its id; never used again, unlike its name.
    pub id: WorkloadId,
    /// Its organisation.
    pub org: Name,
    /// What is wanted.
    pub spec: Arc<WorkloadSpec>,
    /// Grows with every change of `spec`.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When `spec` last changed.
    pub updated_at: Timestamp,
    /// Set when it is to be removed; the record goes when its instances are gone.
    #[serde(default)]
    pub deleting: bool,
    /// Set by `rollback`: go to this kept revision instead of making a new one of `spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll_back_to: Option<u64>,
}

/// One version of a workload that was or is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadRevision {
    /// Its number, from 1.
    pub number: u64,
    /// What it runs.
    pub spec: Arc<WorkloadSpec>,
    /// When it was first wanted.
    pub created_at: Timestamp,
    /// Whether it once ran as wanted; auto-revert goes only to such a one.
    pub proven: bool,
    /// Which value of each secret with `on_change = restart` its instances start with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<Name, SecretVersion>,
}

/// How a workload is doing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadStatus {
    /// Nothing of it runs yet.
    #[default]
    Pending,
    /// It is changing towards what is wanted.
    Progressing,
    /// It is as wanted.
    Running,
    /// It was as wanted and is not now.
    Degraded,
    /// A failed update is being taken back.
    Reverting,
    /// A failed update was taken back; the version before runs.
    Reverted,
    /// It cannot become as wanted by itself. For jobs: ended without success.
    Failed,
    /// For jobs: ended with success.
    Completed,
}

/// What the control plane knows of a workload's versions. Written by the control plane only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The generation of the workload that was last taken in.
    pub generation: u64,
    /// Kept revisions, oldest first; the last number ever given is in `last_revision`.
    pub revisions: Vec<WorkloadRevision>,
    /// The highest revision number ever given.
    pub last_revision: u64,
    /// The revision that instances should run.
    pub target: u64,
    /// The revision that failed and was reverted from, until the next change by the user.
    #[serde(default)]
    pub reverted_from: Option<u64>,
    /// How it is doing.
    pub status: WorkloadStatus,
    /// Why, for people.
    #[serde(default)]
    pub message: String,
    /// When the change to `target` began.
    pub started_at: Timestamp,
    /// When the change last moved; the deadline counts from here.
    pub progressed_at: Timestamp,
    /// How many instances of `target` had served long enough when it last moved.
    #[serde(default)]
    pub progress: u32,
    /// Whether `target` has been reached since it was set.
    #[serde(default)]
    pub settled: bool,
    /// For cron: when the last run was due.
    #[serde(default)]
    pub last_run: Option<Timestamp>,
    /// The values of secrets that were last taken in; one that differs from now on makes a new revision.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<Name, SecretVersion>,
}

impl Rollout {
    /// The kept revision with this number.
    pub fn revision(&self, number: u64) -> Option<&WorkloadRevision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }
}

/// A workload as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkloadView {
    /// Its id.
    pub id: WorkloadId,
    /// Its name.
    pub name: Name,
    /// Its organisation.
    pub org: Name,
    /// Revision of its last change in the store; the `ETag`.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its spec last changed.
    pub updated_at: Timestamp,
    /// What is wanted.
    pub spec: WorkloadSpec,
    /// Grows with every change of `spec`.
    pub generation: u64,
    /// The generation that the status speaks of.
    pub observed_generation: u64,
    /// How it is doing.
    pub status: WorkloadStatus,
    /// Why.
    pub message: String,
    /// The version that instances should run.
    pub version: u64,
    /// The version that failed and was reverted from, if the last update did.
    pub reverted_from: Option<u64>,
    /// How many instances are wanted.
    pub replicas: u32,
    /// How many instances exist and are not ended.
    pub instances: u32,
    /// How many of them serve.
    pub ready: u32,
    /// How many of them run the wanted version.
    pub updated: u32,
}

/// One kept version of a workload, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionView {
    /// Its number.
    pub number: u64,
    /// When it was first wanted.
    pub created_at: Timestamp,
    /// Whether it once ran as wanted.
    pub proven: bool,
    /// Whether instances should run it now.
    pub current: bool,
    /// The images it runs.
    pub images: Vec<String>,
    /// What it runs.
    pub spec: WorkloadSpec,
}
