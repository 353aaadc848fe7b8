//! A topology with every name resolved: what the planner works on.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Coordinates, MachineFacts};
use crate::cloud::{Cloud, RegionId};
use crate::spec::{LinkKind, NetworkSpec, RoleSpec, Selector, ServiceSpec, Spec};

/// A topology whose names all mean something.
///
/// [`Region`]s are referred to by their index in [`regions`](Self::regions), roles likewise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// What the file says, for everything that needs no resolving.
    pub spec: Spec,
    /// Regions in the order of the file.
    pub regions: Vec<Region>,
    /// Roles in the order of the file.
    pub roles: Vec<Role>,
    /// Services in the order of the file.
    pub services: Vec<Service>,
    /// Connections beside the mesh, with regions resolved.
    pub links: Vec<Link>,
    /// Percent of requests by cloud or region, in the order of the file; sums to 100, or empty for even shares.
    pub weights: Vec<(Selector, u32)>,
}

impl Topology {
    /// Clouds in which something lies, each once, in the order of the file.
    pub fn clouds(&self) -> Vec<Cloud> {
        let mut clouds = Vec::new();
        for region in &self.regions {
            if !clouds.contains(&region.id.cloud) {
                clouds.push(region.id.cloud);
            }
        }
        clouds
    }

    /// `[network]`.
    pub fn network(&self) -> &NetworkSpec {
        &self.spec.network
    }

    /// The index of a region.
    pub fn region(&self, id: &RegionId) -> Option<usize> {
        self.regions.iter().position(|region| region.id == *id)
    }

    /// The role of that name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.spec.name.as_str() == name)
    }

    /// How many machines there are in all.
    pub fn nodes(&self) -> u32 {
        self.roles.iter().map(Role::count).sum()
    }
}

/// A region in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Cloud and name.
    pub id: RegionId,
    /// Its range, if the file states one.
    pub cidr: Option<Ipv4Net>,
    /// Its zones by the provider's names, at least one.
    pub zones: Vec<String>,
    /// Where it lies, when known.
    pub at: Option<Coordinates>,
    /// Names of things at the provider, placeholders filled in.
    pub names: BTreeMap<String, String>,
    /// Whose account, subscription or project, if not the default one.
    pub account: Option<String>,
}

/// How many machines of a role a region has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Index of the region.
    pub region: usize,
    /// Machines there.
    pub count: u32,
    /// Fewest and most machines there, when their number follows the load.
    pub bounds: Option<(u32, u32)>,
    /// Machine type, if one is named or known to fit.
    pub machine: Option<String>,
    /// What is known of the machine type.
    pub facts: Option<MachineFacts>,
}

/// A role and where its machines are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// What the file says.
    pub spec: RoleSpec,
    /// Its regions, in the order of the file. A count is 0 only where the group may grow.
    pub placements: Vec<Placement>,
    /// Name of the load balancer service in front of it, if any.
    pub behind: Option<String>,
}

impl Role {
    /// How many machines it has in all.
    pub fn count(&self) -> u32 {
        self.placements.iter().map(|placement| placement.count).sum()
    }
}

/// A service and where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// What the file says.
    pub spec: ServiceSpec,
    /// Index of each region that has one. A service per cloud has one in the cloud's first region.
    pub regions: Vec<usize>,
}

/// A connection with its ends resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it is.
    pub kind: LinkKind,
    /// Indices of its two regions.
    pub between: (usize, usize),
    /// Tunnels of a VPN.
    pub tunnels: u8,
}
