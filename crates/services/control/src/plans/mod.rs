//! What a write would do, as a plan object: the same for REST, the command line and AI operators.
//!
//! Every write of [`crate::Control`] ends in one transaction. A control plane in planning mode
//! ([`crate::Control::planning`]) keeps that transaction beside a description of it instead of committing it
//! (`draft.rs`). Whoever planned it may apply it once, as long as the objects it writes have not changed since
//! (`apply.rs`); what ends instances or removes objects waits for a person's approval first (`decide.rs`).

mod apply;
mod decide;
mod draft;
pub(crate) mod effect;
mod record;

use std::fmt;

use serde::{Deserialize, Serialize};
use univrs_model::Timestamp;
use univrs_model::caller::Principal;
use univrs_model::ids::PlanId;

/// How long a plan may wait to be applied.
pub(crate) const LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// What a write would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// Its id.
    pub plan_id: PlanId,
    /// SHA-256 over everything that applying it would do, who may apply it and until when.
    pub digest: String,
    /// The revision of the state that it was made against.
    pub parent_revision: u64,
    /// When it may not be applied any more.
    pub expires_at: Timestamp,
    /// What would change, one entry per object; empty when nothing would.
    pub changes: Vec<Change>,
    /// How many running instances it would touch.
    pub blast_radius: BlastRadius,
    /// What a resource that it makes or resizes costs from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<univrs_watch::price::Quote>,
    /// The whole in a sentence.
    #[serde(default)]
    pub summary: String,
    /// Where it stands.
    #[serde(default)]
    pub status: PlanStatus,
    /// Why a person has to approve it, one sentence each; empty when nobody has to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approval_needed: Vec<String>,
    /// Who planned it; only they may apply it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_by: Option<Principal>,
    /// Who approved or rejected it, if anyone did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Principal>,
    /// The revision that applying it made, if it was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<u64>,
}

/// Where a plan stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// Nothing would change; there is nothing to apply.
    #[default]
    Empty,
    /// It shows what the write would do and cannot be applied: only the write itself can answer what it makes.
    ShowOnly,
    /// It may be applied.
    Ready,
    /// It may be applied once a person has approved it.
    WaitingForApproval,
    /// A person approved it; it may be applied.
    Approved,
    /// A person rejected it.
    Rejected,
    /// It was applied.
    Applied,
    /// Its time is over.
    Expired,
}

impl fmt::Display for PlanStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Empty => "empty",
            Self::ShowOnly => "for looking only",
            Self::Ready => "ready",
            Self::WaitingForApproval => "waiting for approval",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Applied => "applied",
            Self::Expired => "expired",
        })
    }
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

/// Why a plan cannot be applied, approved or rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefusal {
    /// Someone else planned it.
    #[error("belongs to someone else")]
    Foreign,
    /// Its time is over.
    #[error("expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// It stands where this cannot be done.
    #[error("is {status}")]
    Status {
        /// Where it stands.
        status: PlanStatus,
    },
    /// A person has to approve it first.
    #[error("needs a person's approval because it {}", reasons.join(" and "))]
    NeedsApproval {
        /// Why.
        reasons: Vec<String>,
    },
    /// The digest is not that of the plan.
    #[error("has another digest than the one given")]
    OtherDigest,
    /// What it was made against has changed.
    #[error("was made against an older state: `{what}` has changed since")]
    Moved {
        /// The key that changed.
        what: String,
    },
    /// A token may not approve what it planned itself.
    #[error("was planned by the token that now decides about it")]
    OwnPlan,
    /// Nobody has to approve it.
    #[error("needs no approval")]
    NoApprovalNeeded,
}
