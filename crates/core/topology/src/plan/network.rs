//! Subnets, routes, gateways and security rules of a region.

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use univrs_model::name::Name;

use crate::cloud::RegionId;
use crate::spec::Protocol;

/// One subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Unique in the region: `private-us-east-1a`.
    pub name: String,
    /// Its kind.
    pub tier: String,
    /// The zone it lies in, by the provider's name.
    pub zone: String,
    /// Its range.
    pub cidr: Ipv4Net,
    /// Addresses machines can have.
    pub usable: u32,
    /// Addresses machines will have, when every group is as large as it may become.
    pub needed: u32,
    /// Whether machines in it have public addresses.
    pub public: bool,
}

/// A gateway through which machines without public addresses reach the internet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nat {
    /// Unique in the region.
    pub name: String,
    /// The zone it lies in.
    pub zone: String,
    /// The subnet it lies in: a public one where the provider wants that, else the first it serves.
    pub subnet: String,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// To the internet.
    InternetGateway,
    /// Through the NAT gateway of that name.
    Nat(String),
    /// Through the machine of that name, the region's gateway into the mesh.
    Gateway(String),
    /// Through the stated connection to that region.
    Link(RegionId),
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub destination: Ipv4Net,
    /// Which way.
    pub via: Via,
}

/// Routes of some subnets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Unique in the region.
    pub name: String,
    /// Names of the subnets it is for.
    pub subnets: Vec<String>,
    /// Its routes. That the region reaches itself goes without saying.
    pub routes: Vec<Route>,
}

/// Direction of a security rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the machine.
    In,
}

/// Why a security rule is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleReason {
    /// The file says so.
    Stated,
    /// Nodes of Univrs need it.
    Univrs,
    /// The mesh needs it.
    Mesh,
    /// Somebody has to get in to look after it.
    Admin,
}

/// One security rule; all else is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique in the group.
    pub name: String,
    /// Unique in the group; lower goes first.
    pub priority: u16,
    /// Which way.
    pub direction: Direction,
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
    /// Who may come.
    pub sources: Vec<IpNet>,
    /// Why it is there.
    pub reason: RuleReason,
    /// Whether the provider can enforce it: false where a container group has a public address.
    pub enforced: bool,
}

/// Security rules of a role's machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Name of the role.
    pub role: Name,
    /// Its rules by priority.
    pub rules: Vec<Rule>,
}
