//! The plan: everything that will exist, with every address decided.
//!
//! [`plan()`] is a pure function of a [`Topology`](crate::topology::Topology). What it makes leaves nothing to
//! choose: an emitter and an estimator need nothing else. What belongs to one region lies in its [`RegionPlan`], so
//! that an edit of one region shows only there.
//!
//! Invariants, each with a property test:
//! - TOP-1: no two ranges overlap: regions, the mesh range, reserved ranges; nor two subnets of a region.
//! - TOP-2: every machine has an address of its own inside its subnet, none that the provider keeps.
//! - TOP-3: the ranges a mesh member accepts from its peers, with its own, are the ranges of the mesh, each once.
//! - TOP-4: weights sum to 100, before and after every single failure that leaves something.
//! - TOP-5: editing one region changes no address of another.

pub mod address;
mod build;
mod connect;
mod dns;
mod firewall;
mod home;
mod label;
mod machine;
mod machines;
mod mesh;
mod names;
mod network;
mod seat;
mod service;
mod services;
mod subnets;
mod totals;
mod weights;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use univrs_model::name::Name;

use crate::cloud::{Cloud, RegionId};
use crate::spec::{Account, BackupRule, Budget, EgressSpec, FlowSpec};

pub use build::{Planned, plan};
pub use machine::{Container, Group, JoinPlan, Machine, Seed};
pub use mesh::{Gateway, LinkPlan, Mesh, MeshRuntime, Overlay, OverlayShape, Peer, Tunnel};
pub use names::{DnsPlan, FailureWeights, HealthCheck, Record, RecordTarget, TargetWeight};
pub use network::{Direction, Nat, Route, RouteTable, Rule, RuleReason, SecurityGroup, Subnet, Via};
pub use service::{LoadBalancer, ServiceInstance};

/// Everything that will exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the topology.
    pub topology: Name,
    /// For which environment.
    pub environment: Name,
    /// `topology-environment`: part of the name of everything, and the value of its `univrs-topology` tag.
    pub id: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Tags on everything; `univrs-topology` among them.
    pub tags: BTreeMap<String, String>,
    /// What lies in each region, in the order of the file.
    pub regions: Vec<RegionPlan>,
    /// What a cloud has once, in the order of the file.
    pub clouds: Vec<CloudPlan>,
    /// The mesh, when there is one.
    pub mesh: Option<Mesh>,
    /// Tunnels between region gateways: every pair once.
    pub tunnels: Vec<Tunnel>,
    /// Stated connections beside the mesh.
    pub links: Vec<LinkPlan>,
    /// Names, weights and health checks, when there are any.
    pub dns: Option<DnsPlan>,
    /// Whom machines ask to join, first tried first; empty without Univrs.
    pub seeds: Vec<Seed>,
    /// What leaves in a month, as the file states it.
    pub egress: Option<EgressSpec>,
    /// What roles say to each other, as the file states it.
    pub flows: Vec<FlowSpec>,
    /// Facts about the accounts.
    pub account: Account,
    /// Backup of machines.
    pub backup: Option<BackupRule>,
    /// At which time of day machines are switched off.
    pub auto_shutdown: Option<String>,
    /// What may be spent.
    pub budget: Option<Budget>,
    /// Values to print once machines exist, placeholders such as `{public_ip}` left in.
    pub outputs: BTreeMap<String, String>,
    /// How many resources of each kind each provider will have.
    pub resources: BTreeMap<Cloud, BTreeMap<String, u32>>,
}

/// What lies in one region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionPlan {
    /// Cloud and name.
    pub id: RegionId,
    /// The cloud.
    pub cloud: Cloud,
    /// The provider's name of the region.
    pub name: String,
    /// Its address range.
    pub cidr: ipnet::Ipv4Net,
    /// Whether the planner chose the range.
    pub assigned: bool,
    /// Its zones by the provider's names.
    pub zones: Vec<String>,
    /// Names of things at the provider, such as `resource_group`.
    pub names: BTreeMap<String, String>,
    /// Whose account, subscription or project, if not the default one.
    pub account: Option<String>,
    /// Subnets by tier, then zone.
    pub subnets: Vec<Subnet>,
    /// Whether anything in it has a way to or from the internet.
    pub internet_gateway: bool,
    /// Gateways for machines without public addresses.
    pub nat: Vec<Nat>,
    /// One table for each tier; one for each zone of a tier when each zone has its own NAT gateway.
    pub route_tables: Vec<RouteTable>,
    /// One for each role.
    pub security_groups: Vec<SecurityGroup>,
    /// One for each role: what its machines share.
    pub groups: Vec<Group>,
    /// Machines and container groups.
    pub machines: Vec<Machine>,
    /// Load balancers.
    pub load_balancers: Vec<LoadBalancer>,
    /// Managed services of the region.
    pub services: Vec<ServiceInstance>,
}

/// What a cloud has once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloudPlan {
    /// The cloud.
    pub cloud: Cloud,
    /// Where things lie that have to lie somewhere: the cloud's first region in the file.
    pub home: RegionId,
    /// Managed services of the cloud.
    pub services: Vec<ServiceInstance>,
}

impl Plan {
    /// All machines, region by region.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.regions.iter().flat_map(|region| &region.machines)
    }

    /// The plan of a region.
    pub fn region(&self, id: &RegionId) -> Option<&RegionPlan> {
        self.regions.iter().find(|region| region.id == *id)
    }
}

impl RegionPlan {
    /// The group of a role.
    pub fn group(&self, role: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.role.as_str() == role)
    }

    /// The subnets of a tier, in the order of the zones.
    pub fn tier<'a>(&'a self, tier: &'a str) -> impl Iterator<Item = &'a Subnet> {
        self.subnets.iter().filter(move |subnet| subnet.tier == tier)
    }
}
