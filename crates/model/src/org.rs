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
}

/// What a user says of a new organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrgSpec {
    /// Unique in the cluster; also the label before `internal` in the addresses of its workloads.
    pub name: Name,
}

/// An organisation as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrgView {
    /// Its id.
    pub id: OrgId,
    /// Its name.
    pub name: Name,
    /// Revision of its last change.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
