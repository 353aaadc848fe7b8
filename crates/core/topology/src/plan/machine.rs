//! Machines, what a role's machines share, and how they join.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use univrs_model::name::Name;
use univrs_model::node;
use univrs_model::quantity::{Bytes, Cpu};

use crate::catalogue::Arch;
use crate::cloud::RegionId;
use crate::spec::{Host, Persistence, Purchase, Size};

/// What the machines of one role in one region share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Name of the role; unique in the region.
    pub role: Name,
    /// What they run as.
    pub host: Host,
    /// Machine type; absent for container groups, and when none is named and none is known to fit.
    pub machine: Option<String>,
    /// Processors of one, when known or stated.
    pub vcpu: Option<Cpu>,
    /// Memory of one, when known or stated.
    pub memory: Option<Bytes>,
    /// Architecture, when known.
    pub arch: Option<Arch>,
    /// Whether the size is stated in the file for a flexible type.
    pub sized: bool,
    /// What the programs on it need, as the file states it.
    pub needs: Option<Size>,
    /// Size of the disk; the provider's default when absent.
    pub disk: Option<Bytes>,
    /// How they are paid for.
    pub purchase: Purchase,
    /// Whether they may be interrupted.
    pub interruptible: bool,
    /// Whether they may be chosen as voters.
    pub votes: bool,
    /// How many there are.
    pub count: u32,
    /// Fewest, most, and the share of processors in use at which one is added.
    pub autoscale: Option<(u32, u32, f64)>,
    /// Kind of subnet they lie in.
    pub tier: String,
    /// Whether each has a public address.
    pub public_ip: bool,
    /// What runs on them.
    pub container: Option<Container>,
    /// Where the container keeps its data.
    pub persistence: Persistence,
    /// How they join; absent when they do not.
    pub join: Option<JoinPlan>,
    /// Labels of the nodes.
    pub labels: BTreeMap<String, String>,
}

/// A container of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Image reference.
    pub image: String,
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
    /// `always`, `on-failure` or `never`.
    pub restart: String,
    /// Command instead of the image's own.
    pub command: Vec<String>,
    /// Ports it listens on.
    pub ports: Vec<(u16, crate::spec::Protocol)>,
}

/// How the machines of a group come up with Univrs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinPlan {
    /// Roles of the node.
    pub roles: Vec<node::Role>,
}

/// One machine or container group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Unique in the topology, a DNS label: `validator-aws-us-east-1-0`.
    pub name: String,
    /// Name of its role, and of its [`Group`] in the region.
    pub role: Name,
    /// Its region.
    pub region: RegionId,
    /// Its number among the machines of the role in the region, from 0.
    pub index: u32,
    /// Its zone by the provider's name.
    pub zone: String,
    /// Name of its subnet.
    pub subnet: String,
    /// Its address inside the region.
    pub address: Ipv4Addr,
    /// Whether it has a public address.
    pub public_ip: bool,
    /// The name it will have, where the provider lets us choose one beforehand.
    pub dns_name: Option<String>,
    /// When it starts: all of a lower number are asked to start first.
    pub boot_order: u8,
    /// Whether it starts the cluster.
    pub bootstrap: bool,
    /// Whether it is its region's gateway into the mesh.
    pub gateway: bool,
    /// Environment of its container, placeholders filled in.
    pub env: BTreeMap<String, String>,
}

/// A machine others ask to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// Name of the machine.
    pub machine: String,
    /// Its region.
    pub region: RegionId,
    /// Its address inside the region and the mesh.
    pub address: Ipv4Addr,
    /// Whether it has a public address, to be preferred from outside its region.
    pub public_ip: bool,
    /// Port of node to node traffic.
    pub port: u16,
}
