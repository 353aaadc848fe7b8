//! What a topology file says, typed, with the values of its environment picked.
//!
//! [`read()`] goes over the whole tree and reports everything it finds wrong. Names are not resolved here: that a
//! region exists, or that a load balancer's role does, is for [`resolve`](crate::resolve).

mod account;
mod network;
mod objectives;
mod read;
mod reader;
mod role;
mod service;
mod traffic;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use univrs_model::name::Name;
use univrs_model::span::Span;

pub use account::{Account, FreeTier, HeldPrice};
pub use network::{LinkKind, LinkSpec, MeshKind, NatKind, NetworkSpec, RegionSpec, Tier, ZoneChoice};
pub use objectives::{Budget, DataLoss, Money, Objectives, Quorum, QuorumRule, Recovery, RoundTrip, Survive};
pub use read::{Parsed, read};
pub use role::{
    Autoscale, ContainerSpec, Expose, Host, Per, Persistence, PortFrom, PortSpec, Protocol, Purchase,
    RoleSpec, Selector, Size, UnivrsRole,
};
pub use service::{BackupSpec, HealthSpec, Lifecycle, Replication, ServiceKind, ServiceSize, ServiceSpec};
pub use traffic::{DnsSpec, EgressSpec, FlowSpec, TrafficSpec};

/// One topology file as written, for one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Name of the topology; part of every name at a provider.
    pub name: Name,
    /// Which environment the values are for, such as `prod`.
    pub environment: Name,
    /// Who answers for it; a tag on everything.
    pub owner: Option<String>,
    /// Tags on everything.
    pub tags: BTreeMap<String, String>,
    /// Address ranges, subnets and the mesh.
    pub network: NetworkSpec,
    /// Regions in the order of the file.
    pub regions: Vec<RegionSpec>,
    /// Groups of like machines, in the order of the file.
    pub roles: Vec<RoleSpec>,
    /// Managed services, in the order of the file.
    pub services: Vec<ServiceSpec>,
    /// Stated connections between networks beside the mesh.
    pub links: Vec<LinkSpec>,
    /// How requests come in and what leaves.
    pub traffic: TrafficSpec,
    /// What must hold.
    pub objectives: Objectives,
    /// What may be spent.
    pub budget: Option<Budget>,
    /// Facts about the accounts: free tiers, discounts, prices held from earlier.
    pub account: Account,
    /// Values to print once machines exist; `{public_ip}` and the like are filled in.
    pub outputs: BTreeMap<String, String>,
    /// Backup of machines and their disks.
    pub backup: Option<BackupRule>,
    /// At which time of day machines are switched off, such as `20:00Z`.
    pub auto_shutdown: Option<String>,
    /// Findings that are accepted, with the reason.
    pub allow: Vec<Allow>,
}

/// How often machines are backed up, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRule {
    /// Time between two backups; absent when this environment has none.
    pub schedule: Option<Span>,
    /// How long a backup is kept.
    pub retention: Option<Span>,
}

/// A finding somebody accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allow {
    /// Code of the finding.
    pub code: String,
    /// Only below this path; everywhere when absent.
    pub path: Option<String>,
    /// Why it is accepted.
    pub reason: String,
}
