//! Organisations: whose objects are whose. Everyone has `default`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::OrgId;
use crate::name::Name;

/// An organisation as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    /// Its id.
    pub id: OrgId,
    /// Unique in the cluster; also the label before `internal` in the addresses of its workloads.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
    /// Id of its tier; [`DEFAULT_TIER`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
}

/// The tier of organisations that were made without one: whoever runs the cluster is not bounded by it.
pub const DEFAULT_TIER: &str = "enterprise";

/// What a user says of a new organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrgSpec {
    /// Unique in the cluster; also the label before `internal` in the addresses of its workloads.
    pub name: Name,
    /// Id of its tier: `free`, `basic`, `pro` or `enterprise`; the last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "basic")]
    pub tier: Option<String>,
}

/// What is to change of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrgChange {
    /// Id of its tier. What is there already stays; what is added is bounded by the new one.
    #[schema(example = "pro")]
    pub tier: String,
}

/// An organisation as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrgView {
    /// Its id.
    pub id: OrgId,
    /// Its name.
    pub name: Name,
    /// Id of its tier.
    pub tier: String,
    /// Revision of its last change.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
