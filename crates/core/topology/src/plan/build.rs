//! Puts the plan together, region by region.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

use super::machines::Numbers;
use super::seat::{Seat, seats};
use super::{
    CloudPlan, JoinPlan, Plan, RegionPlan, Seed, address, connect, dns, firewall, machines, services,
    subnets, totals,
};
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::spec::{MeshKind, Tier, UnivrsRole};
use crate::topology::Topology;

/// A plan, and what making it brought to light.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan; absent when an address could not be given.
    pub plan: Option<Plan>,
    /// What was found.
    pub findings: Findings,
}

/// What all parts of the planner look at.
pub(super) struct Context<'a> {
    pub(super) topology: &'a Topology,
    /// `topology-environment`.
    pub(super) id: String,
    pub(super) tiers: Vec<Tier>,
    /// Range of each region, and whether it was chosen here.
    pub(super) ranges: Vec<(Ipv4Net, bool)>,
    /// Seats of each region.
    pub(super) seats: Vec<Vec<Seat<'a>>>,
}

impl Context<'_> {
    pub(super) fn mesh(&self) -> bool {
        self.topology.network().mesh == MeshKind::WireGuard
    }

    /// Whether any machine runs Univrs.
    pub(super) fn runs_univrs(&self) -> bool {
        self.topology.roles.iter().any(|role| role.spec.univrs.is_some() && !role.placements.is_empty())
    }
}

/// Port of traffic between nodes of Univrs.
pub(super) const NODE_PORT: u16 = 9443;

/// Plans `topology`.
pub fn plan(topology: &Topology) -> Planned {
    let mut findings = Findings::default();
    let assigned: Option<Vec<(Ipv4Net, bool)>> =
        address::assign(topology, &mut findings).into_iter().collect();
    let Some(ranges) = assigned.filter(|_| !findings.has_errors()) else {
        return Planned { plan: None, findings };
    };
    let tiers = address::tiers(topology);
    let mesh = topology.network().mesh == MeshKind::WireGuard;
    let seats = (0..topology.regions.len()).map(|region| seats(topology, &tiers, region, mesh)).collect();
    let id = format!("{}-{}", topology.spec.name, topology.spec.environment);
    let context = Context { topology, id, tiers, ranges, seats };

    let mut numbers = Numbers::new(topology);
    let mut regions = Vec::with_capacity(topology.regions.len());
    for index in 0..topology.regions.len() {
        regions.extend(region(&context, index, &mut numbers, &mut findings));
    }
    if findings.has_errors() || regions.len() < topology.regions.len() {
        return Planned { plan: None, findings };
    }
    machines::fill_environments(&context, &mut regions);
    let (mesh, tunnels) = connect::mesh(&context, &regions, &mut findings);
    let links = connect::links(&context, &mut findings);
    subnets::route(&context, &mut regions, mesh.as_ref());
    let dns = dns::plan(&context, &regions, &mut findings);
    let spec = &topology.spec;
    let mut tags: BTreeMap<String, String> = spec.tags.clone();
    tags.insert("univrs-topology".into(), context.id.clone());
    tags.insert("environment".into(), spec.environment.to_string());
    if let Some(owner) = &spec.owner {
        tags.insert("owner".into(), owner.clone());
    }
    let mut plan = Plan {
        topology: spec.name.clone(),
        environment: spec.environment.clone(),
        id: context.id.clone(),
        owner: spec.owner.clone(),
        tags,
        clouds: clouds(&context),
        seeds: seeds(&regions),
        regions,
        mesh,
        tunnels,
        links,
        dns,
        egress: spec.traffic.egress.clone(),
        flows: spec.traffic.flows.clone(),
        account: spec.account.clone(),
        backup: spec.backup.clone(),
        auto_shutdown: spec.auto_shutdown.clone(),
        budget: spec.budget.clone(),
        outputs: spec.outputs.clone(),
        resources: BTreeMap::new(),
    };
    plan.resources = totals::resources(&plan);
    Planned { plan: (!findings.has_errors()).then_some(plan), findings }
}

fn region(
    context: &Context<'_>,
    index: usize,
    numbers: &mut Numbers,
    findings: &mut Findings,
) -> Option<RegionPlan> {
    let region = &context.topology.regions[index];
    let (cidr, assigned) = context.ranges[index];
    let layout = subnets::Layout::new(context, index, findings)?;
    let (groups, placed) = machines::place(context, index, &layout, numbers);
    let subnets = layout.subnets(context, index, &placed, findings);
    let security_groups = firewall::groups(context, index, findings);
    let nat = subnets::nat(context, index, &subnets);
    let load_balancers = services::load_balancers(context, index, &subnets, &placed, findings);
    let internet_gateway =
        !nat.is_empty() || !load_balancers.is_empty() || placed.iter().any(|m| m.public_ip);
    Some(RegionPlan {
        id: region.id.clone(),
        cloud: region.id.cloud,
        name: region.id.name.clone(),
        cidr,
        assigned,
        zones: region.zones.clone(),
        names: region.names.clone(),
        account: region.account.clone(),
        internet_gateway,
        nat,
        // Routes lead to gateways of the mesh, which are known once every region has its machines.
        route_tables: Vec::new(),
        security_groups,
        groups,
        machines: placed,
        load_balancers,
        services: services::of_region(context, index, &subnets),
        subnets,
    })
}

fn clouds(context: &Context<'_>) -> Vec<CloudPlan> {
    let clouds = context.topology.clouds().into_iter().filter_map(|cloud| {
        let home = context.topology.regions.iter().find(|region| region.id.cloud == cloud)?;
        Some(CloudPlan { cloud, home: home.id.clone(), services: services::of_cloud(context, cloud) })
    });
    clouds.collect()
}

/// Most machines others are told to ask.
const MOST_SEEDS: usize = 5;

/// The machine that starts the cluster, then one that may vote from each region: enough to find the others.
fn seeds(regions: &[RegionPlan]) -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |region: &RegionPlan, machine: &super::Machine| {
        seeds.push(Seed {
            machine: machine.name.clone(),
            region: region.id.clone(),
            address: machine.address,
            public_ip: machine.public_ip,
            port: NODE_PORT,
        });
    };
    for region in regions {
        region.machines.iter().filter(|machine| machine.bootstrap).for_each(|machine| add(region, machine));
    }
    for region in regions {
        let votes =
            |machine: &&super::Machine| region.group(machine.role.as_str()).is_some_and(|group| group.votes);
        let first = region.machines.iter().find(votes).filter(|machine| !machine.bootstrap);
        first.into_iter().for_each(|machine| add(region, machine));
    }
    seeds.truncate(MOST_SEEDS);
    seeds
}

/// How a role joins.
pub(super) fn join(univrs: &UnivrsRole) -> JoinPlan {
    JoinPlan { roles: univrs.roles.clone() }
}

/// Says that something lacks room.
pub(super) fn lacks_room(code: Code, path: String, message: String, findings: &mut Findings) {
    findings.push(Finding::new(code, path, message).hint("take a shorter prefix, such as /20 for /24"));
}
