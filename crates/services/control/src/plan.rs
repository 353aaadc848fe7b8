//! What a write would do, as a plan object: the same for REST, the command line and AI operators.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use univrs_model::Timestamp;
use univrs_model::ids::PlanId;

/// How long a plan may wait to be applied.
const LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// What a write would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// Its id.
    pub plan_id: PlanId,
    /// SHA-256 over the changes and the revision they start from.
    pub digest: String,
    /// The revision of the state that it was made against.
    pub parent_revision: u64,
    /// When it may not be applied any more.
    pub expires_at: Timestamp,
    /// What would change, one entry per object; empty when nothing would.
    pub changes: Vec<Change>,
    /// How many running instances it would touch.
    pub blast_radius: BlastRadius,
}

/// One object that would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Change {
    /// What would happen to it.
    pub action: ChangeAction,
    /// What kind of object.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its document now; null when it does not exist.
    pub before: serde_json::Value,
    /// Its document then; null when it would not exist.
    pub after: serde_json::Value,
}

/// What would happen to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    /// It would be made.
    Create,
    /// It would be changed.
    Update,
    /// It would be removed.
    Delete,
}

/// How many running instances a plan would touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BlastRadius {
    /// Instances that would be started.
    pub starts: u32,
    /// Instances that would be stopped.
    pub stops: u32,
}

/// The plan of these changes, made against `parent_revision` at `now`.
pub(crate) fn plan(
    changes: Vec<Change>,
    blast_radius: BlastRadius,
    parent_revision: u64,
    now: Timestamp,
) -> Plan {
    let canonical = serde_json::json!({ "parent_revision": parent_revision, "changes": changes });
    let hash = Sha256::digest(canonical.to_string().as_bytes());
    let mut seed = [0; 16];
    seed.copy_from_slice(&hash[..16]);
    Plan {
        plan_id: PlanId::from_bits(u128::from_be_bytes(seed)),
        digest: format!("sha256:{}", hex::encode(hash)),
        parent_revision,
        expires_at: now.saturating_add(LIFETIME).unwrap_or(now),
        changes,
        blast_radius,
    }
}
