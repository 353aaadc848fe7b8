//! One region as the provider modules see it: its plan, its names, its tags, and what it needs from other roots.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use univrs_topology::cloud::{Cloud, RegionId};
use univrs_topology::plan::{
    Group, LoadBalancer, Machine, Plan, RegionPlan, Rule, ServiceInstance, Subnet, Via,
};
use univrs_topology::spec::Host;

use crate::tf::{Charset, Expr, Root, Section, Value, Variable, fit};

/// Where the ranges of all regions stand, seen from a region's root.
///
/// Roots read them from there, so that a new range changes one shared file and no root of another region.
const MESH_FILE: &str = "jsondecode(file(\"${path.module}/../shared/mesh.json\"))";

/// A region in its plan.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) region: &'a RegionPlan,
}

/// Who may come, in a rule of a region's root.
pub(crate) struct Sources {
    /// Ranges that stand in the file.
    pub(crate) literal: Vec<String>,
    /// Whether the ranges of all regions may come too.
    pub(crate) mesh: bool,
}

/// The members of a group, told apart by who keeps them alive.
pub(crate) struct Members<'a> {
    /// Machines with a name, a zone and an address of their own.
    pub(crate) single: Vec<&'a Machine>,
    /// How many the provider keeps in an autoscaled group: fewest, now, most, and the processor share that adds one.
    pub(crate) scaled: Option<Scaled>,
}

/// Bounds of an autoscaled group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scaled {
    pub(crate) least: u32,
    pub(crate) now: u32,
    pub(crate) most: u32,
    pub(crate) target_cpu: f64,
}

impl<'a> Site<'a> {
    /// Folder of the region's root.
    pub(crate) fn root(self) -> String {
        root_of(&self.region.id)
    }

    /// `topology-environment-thing`, cut to what the provider takes.
    pub(crate) fn name(self, thing: &str, longest: usize) -> String {
        fit(&format!("{}-{thing}", self.plan.id), longest, Charset::Label)
    }

    /// `topology-environment-region-thing`, for names that regions of one account share.
    pub(crate) fn regional(self, thing: &str, longest: usize) -> String {
        self.name(&format!("{}-{thing}", self.region.name), longest)
    }

    /// Tags of everything here.
    pub(crate) fn tags(self) -> BTreeMap<String, String> {
        let mut tags = self.plan.tags.clone();
        tags.insert("univrs-topology".to_owned(), self.plan.id.clone());
        tags.insert("univrs-region".to_owned(), self.region.id.label());
        tags
    }

    /// Tags of a thing of a role.
    pub(crate) fn role_tags(self, role: &str) -> BTreeMap<String, String> {
        let mut tags = self.tags();
        tags.insert("univrs-role".to_owned(), role.to_owned());
        tags
    }

    /// Machines of a group.
    pub(crate) fn members(self, group: &Group) -> Members<'a> {
        let all = self.region.machines.iter().filter(|machine| machine.role == group.role);
        let Some((least, most, target_cpu)) = group.autoscale.filter(|_| group.host == Host::Machine) else {
            return Members { single: all.collect(), scaled: None };
        };
        let single: Vec<&Machine> =
            all.filter(|machine| machine.bootstrap || self.is_router(machine)).collect();
        let kept = u32::try_from(single.len()).unwrap_or(u32::MAX);
        let scaled = Scaled {
            least: least.saturating_sub(kept),
            now: group.count.saturating_sub(kept),
            most: most.saturating_sub(kept),
            target_cpu,
        };
        Members { single, scaled: Some(scaled) }
    }

    /// All machines of a group, where the provider keeps no group of its own.
    pub(crate) fn all_of(self, group: &Group) -> impl Iterator<Item = &'a Machine> {
        let role = group.role.clone();
        self.region.machines.iter().filter(move |machine| machine.role == role)
    }

    /// Whether the machine forwards for its region: then it must be the one the routes name.
    pub(crate) fn is_router(self, machine: &Machine) -> bool {
        self.router_name() == Some(machine.name.as_str())
    }

    /// The machine through which the region reaches others, when its routes lead through one.
    pub(crate) fn router(self) -> Option<&'a Machine> {
        self.machine(self.router_name()?)
    }

    fn router_name(self) -> Option<&'a str> {
        self.region.route_tables.iter().flat_map(|table| &table.routes).find_map(|route| match &route.via {
            Via::Gateway(name) => Some(name.as_str()),
            Via::InternetGateway | Via::Nat(_) | Via::Link(_) => None,
        })
    }

    /// A machine by name.
    pub(crate) fn machine(self, name: &str) -> Option<&'a Machine> {
        self.region.machines.iter().find(|machine| machine.name == name)
    }

    /// Whether a resource of its own stands for the machine: not one of an autoscaled group.
    pub(crate) fn stands(self, machine: &Machine) -> bool {
        let scaled = |group: &Group| group.autoscale.is_some() && group.host == Host::Machine;
        !scales(self.region.cloud)
            || machine.bootstrap
            || self.is_router(machine)
            || !self.group_of(machine).is_some_and(scaled)
    }

    /// A machine by name, if a resource of its own stands for it.
    pub(crate) fn standing(self, name: &str) -> Option<&'a Machine> {
        self.machine(name).filter(|machine| self.stands(machine))
    }

    /// The group a machine belongs to.
    pub(crate) fn group_of(self, machine: &Machine) -> Option<&'a Group> {
        self.region.group(machine.role.as_str())
    }

    /// Subnets of a group's tier.
    pub(crate) fn subnets_of(self, group: &Group) -> Vec<&'a Subnet> {
        self.region.subnets.iter().filter(|subnet| subnet.tier == group.tier).collect()
    }

    /// Load balancers in front of a role.
    pub(crate) fn balancers_of(self, role: &str) -> impl Iterator<Item = &'a LoadBalancer> {
        self.region.load_balancers.iter().filter(move |balancer| balancer.role.as_str() == role)
    }

    /// The number of a zone in the region, from 0.
    pub(crate) fn zone_index(self, zone: &str) -> usize {
        self.region.zones.iter().position(|known| known == zone).unwrap_or(0)
    }

    /// Who a rule lets in. Ranges of other regions are not written out: see [`Self::mesh_ranges`].
    pub(crate) fn sources(self, rule: &Rule) -> Sources {
        let ranges = mesh_ranges(self.plan);
        let foreign = |range: &String| *range != self.region.cidr.to_string() && ranges.contains(range);
        let wanted =
            rule.sources.iter().filter(|range| has_ipv6(self.region.cloud) || range.addr().is_ipv4());
        let all: Vec<String> = wanted.map(ToString::to_string).collect();
        let mesh = all.iter().any(foreign);
        Sources { literal: all.into_iter().filter(|range| !mesh || !ranges.contains(range)).collect(), mesh }
    }

    /// The list of the ranges of all regions and of the mesh.
    pub(crate) fn mesh_ranges(self, root: &mut Root) -> Expr {
        root.local(Section::Network, "mesh_ranges", Expr::new(format!("{MESH_FILE}.ranges")))
    }

    /// The set of the ranges that the region reaches through its gateway machine.
    pub(crate) fn mesh_routes(self, root: &mut Root) -> Expr {
        let own = format!("toset({MESH_FILE}.routes[\"{}\"])", self.root());
        root.local(Section::Network, "mesh_routes", Expr::new(own))
    }

    /// Everybody a rule lets in, as one list.
    pub(crate) fn source_list(self, rule: &Rule, root: &mut Root) -> Value {
        let sources = self.sources(rule);
        if !sources.mesh {
            return Value::list(sources.literal);
        }
        let ranges = self.mesh_ranges(root);
        if sources.literal.is_empty() {
            return ranges.into();
        }
        let stated: Vec<String> = sources.literal.iter().map(|range| format!("\"{range}\"")).collect();
        Expr::new(format!("concat({}, [{}])", ranges.text(), stated.join(", "))).into()
    }

    /// The public key people log in with.
    pub(crate) fn ssh_key(self, root: &mut Root) -> Expr {
        root.variable(
            "ssh_public_key",
            Variable {
                description: "Public key of whoever looks after the machines, in OpenSSH's form.",
                ..Variable::default()
            },
        )
    }
}

/// Whether the provider keeps autoscaled groups that are emitted.
pub(crate) const fn scales(cloud: Cloud) -> bool {
    matches!(cloud, Cloud::Aws | Cloud::Azure | Cloud::Gcp | Cloud::DigitalOcean)
}

/// Whether machines at the provider have IPv6 in what is emitted.
pub(crate) const fn has_ipv6(cloud: Cloud) -> bool {
    matches!(cloud, Cloud::Hetzner | Cloud::DigitalOcean)
}

/// Folder of a region's root.
pub(crate) fn root_of(region: &RegionId) -> String {
    region.label()
}

/// What `shared/mesh.json` says: what counts as inside, and which ranges each region reaches through its gateway.
pub(crate) fn mesh_document(plan: &Plan) -> Value {
    let routes = plan.regions.iter().map(|region| {
        let tables = region.route_tables.iter().flat_map(|table| &table.routes);
        let through: BTreeSet<String> = tables
            .filter(|route| matches!(route.via, Via::Gateway(_)))
            .map(|route| route.destination.to_string())
            .collect();
        (root_of(&region.id), Value::list(through))
    });
    Value::map([("ranges", Value::list(mesh_ranges(plan))), ("routes", Value::map(routes))])
}

/// Ranges of all regions and of the mesh: what counts as inside.
pub(crate) fn mesh_ranges(plan: &Plan) -> Vec<String> {
    let own = plan.regions.iter().map(|region| region.cidr.to_string());
    let mesh = plan.mesh.as_ref().map(|mesh| mesh.range.to_string());
    own.chain(mesh).collect()
}

/// Services of the region, and of the cloud when this is its home.
pub(crate) fn services_of<'a>(site: Site<'a>) -> impl Iterator<Item = &'a ServiceInstance> {
    let cloud = site.plan.clouds.iter().filter(move |cloud| cloud.home == site.region.id);
    site.region.services.iter().chain(cloud.flat_map(|cloud| &cloud.services))
}

/// The last range of the region that no subnet touches, of the first prefix length that leaves room.
pub(crate) fn free_range(region: &RegionPlan, prefixes: &[u8]) -> Option<Ipv4Net> {
    let taken = |range: &Ipv4Net| {
        let meets = |cidr: &Ipv4Net| cidr.contains(&range.network()) || range.contains(&cidr.network());
        region.subnets.iter().any(|subnet| meets(&subnet.cidr))
    };
    let (first, last) =
        (u64::from(u32::from(region.cidr.network())), u64::from(u32::from(region.cidr.broadcast())));
    prefixes.iter().find_map(|prefix| {
        let size = 1_u64 << (32 - u32::from(*prefix));
        // A region with more than 4096 such ranges has room long before the last of them.
        (1..=((last - first + 1) / size).min(4096))
            .filter_map(|back| Ipv4Net::new(u32::try_from(last + 1 - back * size).ok()?.into(), *prefix).ok())
            .find(|range| !taken(range))
    })
}
