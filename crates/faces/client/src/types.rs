//! Bodies of replies that are not part of the model: lists, plans, and the records of administration.
//!
//! Fields that a server may leave out have defaults, so that a client reads older and newer servers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use univrs_model::Timestamp;

/// A part of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct List<T> {
    /// The objects.
    pub items: Vec<T>,
    /// Where the next part begins, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Revision of the store that the list shows.
    #[serde(default)]
    pub revision: u64,
}

/// What a write would change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Its id.
    #[serde(default)]
    pub plan_id: String,
    /// Digest of its contents.
    #[serde(default)]
    pub digest: String,
    /// Revision of the store that it was made from.
    #[serde(default)]
    pub parent_revision: u64,
    /// Until when it can be applied.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// What changes.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What it costs, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Value>,
    /// What else is touched.
    #[serde(default)]
    pub blast_radius: Value,
    /// The whole in a sentence.
    #[serde(default)]
    pub summary: String,
    /// Where it stands, such as `ready` or `waiting_for_approval`.
    #[serde(default)]
    pub status: String,
    /// Why a person has to approve it; empty when nobody has to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approval_needed: Vec<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub planned_by: Value,
    /// Who approved or rejected it, if anyone did.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub decided_by: Value,
}

/// One change of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// Such as `create`, `update`, `delete`.
    pub action: String,
    /// Kind of the object, such as `workload`.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// The object as it is.
    #[serde(default)]
    pub before: Value,
    /// The object as it would be.
    #[serde(default)]
    pub after: Value,
}

/// What a node knows of a layer or configuration of images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlobState {
    /// `here`, `elsewhere` in the cluster, or `nowhere`.
    pub place: String,
    /// Bytes that have come to the node.
    pub received: u64,
}

/// An image in a node's store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    /// Its name and tag.
    pub reference: String,
    /// Digest of its manifest.
    #[serde(default)]
    pub digest: String,
    /// Bytes of its blobs.
    #[serde(default)]
    pub size: u64,
    /// When it came here.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
}

/// Who did what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who.
    #[serde(default)]
    pub caller: Value,
    /// What, such as `workload_write`.
    #[serde(default)]
    pub action: String,
    /// To what, such as `workload/web`.
    #[serde(default)]
    pub object: String,
    /// The rule that allowed it.
    #[serde(default)]
    pub allowed_by: String,
    /// What changed, in a sentence.
    #[serde(default)]
    pub summary: String,
    /// How it went: `done` or `failed`.
    #[serde(default)]
    pub result: String,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request it came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Revision of the write.
    #[serde(default)]
    pub revision: u64,
}

/// What a long change is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The operation that carries it out.
    pub operation: univrs_model::operation::OperationView,
    /// The resource that changes, if it is one.
    #[serde(default)]
    pub resource: Option<univrs_model::resource::ResourceView>,
}
