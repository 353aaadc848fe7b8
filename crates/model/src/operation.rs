//! Long changes: a persisted list of steps, each with do, verify and undo.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::OperationId;
use crate::name::Name;

/// Where an operation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationStatus {
    /// Under way.
    #[default]
    Running,
    /// Every step was done and verified.
    Succeeded,
    /// A step failed and what was done could not be undone.
    Failed,
    /// A step failed and everything done so far was undone.
    Undone,
    /// A person stopped it and everything done so far was undone.
    Cancelled,
}

/// Where one step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not begun.
    #[default]
    Waiting,
    /// Begun; may or may not have had its effect.
    Doing,
    /// Its effect is there.
    Done,
    /// It failed.
    Failed,
    /// Being undone.
    Undoing,
    /// Its effect is gone.
    Undone,
}

/// One step of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// What it does.
    pub name: String,
    /// The stage that people see.
    pub stage: String,
    /// Progress of the whole when it begins, 0 to 100.
    pub progress: u8,
    /// Where it stands.
    pub status: StepStatus,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A long change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Its organisation.
    pub org: Name,
    /// What kind of change, such as `resource_create`.
    pub kind: String,
    /// Name of the object that changes.
    pub subject: String,
    /// Where it stands.
    pub status: OperationStatus,
    /// What it was asked to do, as its kind defines it.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// Whether a person asked to stop it.
    #[serde(default)]
    pub cancel_requested: bool,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
}

/// An operation as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    /// Revision of its last change.
    pub revision: u64,
    /// The stage it is in.
    pub stage: String,
    /// How far it is, 0 to 100.
    pub progress: u8,
    /// The operation.
    #[serde(flatten)]
    pub operation: Operation,
}
