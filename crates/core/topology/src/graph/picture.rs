//! What both drawings show, taken from the plan.

use std::collections::BTreeMap;

use crate::cloud::{Cloud, RegionId};
use crate::plan::{Plan, RegionPlan};
use crate::spec::LinkKind;

/// More tunnels than this would only be a grey field; their number is written instead.
pub(super) const MOST_LINES: usize = 120;

/// A region as it is drawn.
pub(super) struct Area<'a> {
    pub(super) region: &'a RegionPlan,
    /// Name and inner address of the gateway.
    pub(super) gateway: Option<String>,
    pub(super) load_balancers: Vec<&'a str>,
    /// `validator × 2`.
    pub(super) roles: Vec<String>,
    pub(super) services: Vec<&'a str>,
    /// Percent of the requests that come here.
    pub(super) weight: Option<u32>,
}

/// A line between two areas.
pub(super) struct Line {
    pub(super) ends: (usize, usize),
    /// What it is, when it is not a tunnel of the mesh.
    pub(super) link: Option<LinkKind>,
}

/// Areas by cloud, each cloud once, in the order of the file.
pub(super) fn clouds<'a>(plan: &'a Plan) -> Vec<(Cloud, Vec<(usize, Area<'a>)>)> {
    let mut clouds: Vec<(Cloud, Vec<(usize, Area<'a>)>)> = Vec::new();
    for (index, region) in plan.regions.iter().enumerate() {
        let area = area(plan, region);
        match clouds.iter_mut().find(|(cloud, _)| *cloud == region.cloud) {
            Some((_, areas)) => areas.push((index, area)),
            None => clouds.push((region.cloud, vec![(index, area)])),
        }
    }
    clouds
}

fn area<'a>(plan: &'a Plan, region: &'a RegionPlan) -> Area<'a> {
    let mut roles: BTreeMap<&str, u32> = BTreeMap::new();
    for machine in &region.machines {
        *roles.entry(machine.role.as_str()).or_default() += 1;
    }
    let gateway = region.machines.iter().find(|machine| machine.gateway);
    let records = plan.dns.iter().flat_map(|dns| &dns.records).filter(|record| record.region == region.id);
    let weights: Vec<u32> = records.map(|record| record.weight).collect();
    Area {
        region,
        gateway: gateway.map(|machine| format!("{} {}", machine.name, machine.address)),
        load_balancers: region.load_balancers.iter().map(|balancer| balancer.name.as_str()).collect(),
        roles: roles.iter().map(|(role, count)| format!("{role} × {count}")).collect(),
        services: region.services.iter().map(|service| service.spec.name.as_str()).collect(),
        weight: (!weights.is_empty()).then(|| weights.iter().sum()),
    }
}

/// All tunnels and links; no tunnels when there are too many to tell apart.
pub(super) fn lines(plan: &Plan) -> Vec<Line> {
    let index = |id: &RegionId| plan.regions.iter().position(|region| region.id == *id);
    let ends = |between: &(RegionId, RegionId)| index(&between.0).zip(index(&between.1));
    let tunnels = plan.tunnels.iter().filter(|_| plan.tunnels.len() <= MOST_LINES);
    let tunnels = tunnels.filter_map(|tunnel| Some(Line { ends: ends(&tunnel.between)?, link: None }));
    let links = plan.links.iter();
    let links = links.filter_map(|link| Some(Line { ends: ends(&link.between)?, link: Some(link.kind) }));
    tunnels.chain(links).collect()
}

/// The title below which all is drawn.
pub(super) fn title(plan: &Plan) -> String {
    let (machines, regions, tunnels) = (plan.machines().count(), plan.regions.len(), plan.tunnels.len());
    format!("{}: {machines} machines, {regions} regions, {tunnels} tunnels", plan.id)
}

/// The name of a link.
pub(super) const fn link(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Peering => "peering",
        LinkKind::Vpn => "vpn",
    }
}
