//! Subnets of a region, its NAT gateways, and where each subnet's routes lead.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;

use super::build::{Context, lacks_room};
use super::seat::{gateway_tier, has_nat, zone_of};
use super::services::service_tier;
use super::{Machine, Mesh, Nat, RegionPlan, Route, RouteTable, Subnet, Via, address};
use crate::codes::Code;
use crate::finding::Findings;
use crate::spec::{Host, NatKind};

/// The ranges of a region's subnets, by tier and zone.
pub(super) struct Layout {
    ranges: Vec<Vec<Ipv4Net>>,
    tiers: Vec<String>,
    zones: Vec<String>,
}

impl Layout {
    /// Cuts the range of the region with that index; nothing when it is too small, which is reported.
    pub(super) fn new(context: &Context<'_>, index: usize, findings: &mut Findings) -> Option<Self> {
        let region = &context.topology.regions[index];
        let (cidr, assigned) = context.ranges[index];
        let tiers = &context.tiers;
        let ranges = address::cut(region.id.cloud, cidr, tiers, region.zones.len());
        match ranges {
            Ok(ranges) => Some(Self {
                ranges,
                tiers: tiers.iter().map(|tier| tier.name.clone()).collect(),
                zones: region.zones.clone(),
            }),
            Err(address::CutError::Size { tier, longest }) => {
                let tier = &tiers[tier];
                let message =
                    format!("{} has no subnets of /{}; at most /{longest}", region.id.cloud, tier.prefix);
                let path = format!("network.subnets.{}", tier.name);
                lacks_room(Code::RangeSize, path, message, findings);
                None
            }
            Err(address::CutError::Room { tier }) => {
                let message = format!(
                    "{cidr} of {} has no room for {} subnets `{}` of /{} beside the others",
                    region.id,
                    region.zones.len(),
                    tiers[tier].name,
                    tiers[tier].prefix
                );
                let stated = context.topology.spec.regions.iter().find(|stated| stated.id == region.id);
                let path = match stated {
                    Some(stated) if !assigned => format!("{}.cidr", stated.path),
                    _ => "network.region_prefix".to_owned(),
                };
                lacks_room(Code::RangeTooSmall, path, message, findings);
                None
            }
        }
    }

    pub(super) fn range(&self, tier: usize, zone: usize) -> Ipv4Net {
        self.ranges[tier][zone]
    }

    pub(super) fn name(&self, tier: usize, zone: usize) -> String {
        format!("{}-{}", self.tiers[tier], self.zones[zone])
    }

    /// The subnets that are made: all of the stated kinds, else those something lies in.
    pub(super) fn subnets(
        &self,
        context: &Context<'_>,
        index: usize,
        machines: &[Machine],
        findings: &mut Findings,
    ) -> Vec<Subnet> {
        let region = &context.topology.regions[index];
        let needed = needed(context, index);
        let stated = !context.topology.network().subnets.is_empty();
        let used = used_tiers(context, index);
        let public: BTreeSet<&str> = machines
            .iter()
            .filter(|machine| machine.public_ip)
            .map(|machine| machine.subnet.as_str())
            .collect();
        let mut subnets = Vec::new();
        for tier in (0..self.tiers.len()).filter(|tier| stated || used.contains(tier)) {
            let any_public =
                (0..self.zones.len()).any(|zone| public.contains(self.name(tier, zone).as_str()));
            for zone in 0..self.zones.len() {
                let cidr = self.range(tier, zone);
                let usable = address::usable(region.id.cloud, cidr);
                let needed = needed[tier * self.zones.len() + zone];
                let path = match stated {
                    true => format!("network.subnets.{}", self.tiers[tier]),
                    false => "network.subnets".to_owned(),
                };
                // Once is enough: one prefix holds for all zones and regions.
                if needed > usable && !findings.has(Code::SubnetTooSmall, &path) {
                    let message = format!(
                        "{cidr} in zone {} of {} has {usable} addresses for {needed} machines",
                        self.zones[zone], region.id
                    );
                    lacks_room(Code::SubnetTooSmall, path, message, findings);
                }
                subnets.push(Subnet {
                    name: self.name(tier, zone),
                    tier: self.tiers[tier].clone(),
                    zone: self.zones[zone].clone(),
                    cidr,
                    usable,
                    needed,
                    public: any_public || self.tiers[tier] == "public",
                });
            }
        }
        subnets
    }
}

/// Machines in each subnet when every group is as large as it may become, by tier and zone.
fn needed(context: &Context<'_>, index: usize) -> Vec<u32> {
    let region = &context.topology.regions[index];
    let zones = region.zones.len();
    let mut needed = vec![0; context.tiers.len() * zones];
    for seat in &context.seats[index] {
        let (all, many) = (seat.largest(), u32::try_from(zones).unwrap_or(1));
        for (zone, here) in (0u32..many).zip(&mut needed[seat.tier * zones..(seat.tier + 1) * zones]) {
            *here += all / many + u32::from(zone < all % many);
        }
        let tier = gateway_tier(seat, &context.tiers);
        if seat.gateway && tier != seat.tier {
            let zone = zone_of(region, 0);
            needed[seat.tier * zones + zone] -= 1;
            needed[tier * zones + zone] += 1;
        }
    }
    needed
}

fn used_tiers(context: &Context<'_>, index: usize) -> BTreeSet<usize> {
    let mut used = BTreeSet::new();
    for seat in &context.seats[index] {
        used.insert(seat.tier);
        if seat.gateway {
            used.insert(gateway_tier(seat, &context.tiers));
        }
    }
    for service in context.topology.services.iter().filter(|service| service.regions.contains(&index)) {
        used.extend(service_tier(context, service.spec.kind));
    }
    // A NAT gateway lies in a public subnet.
    if needs_nat(context, index) {
        used.extend(context.tiers.iter().position(|tier| tier.name == "public"));
    }
    used
}

fn needs_nat(context: &Context<'_>, index: usize) -> bool {
    let cloud = context.topology.regions[index].id.cloud;
    let wanted = context.topology.network().nat != NatKind::None && has_nat(cloud);
    wanted && context.seats[index].iter().any(|seat| seat.role.spec.host == Host::Machine && !seat.public_ip)
}

/// The NAT gateways of a region.
pub(super) fn nat(context: &Context<'_>, index: usize, subnets: &[Subnet]) -> Vec<Nat> {
    if !needs_nat(context, index) {
        return Vec::new();
    }
    let zones = &context.topology.regions[index].zones;
    let many = match context.topology.network().nat {
        NatKind::Zone => zones.len(),
        NatKind::None | NatKind::Region => 1,
    };
    let gateways = zones.iter().take(many).filter_map(|zone| {
        let here = || subnets.iter().filter(|subnet| subnet.zone == *zone);
        let subnet = here().find(|subnet| subnet.tier == "public").or_else(|| here().next())?;
        Some(Nat { name: format!("nat-{zone}"), zone: zone.clone(), subnet: subnet.name.clone() })
    });
    gateways.collect()
}

/// Makes the route tables of all regions.
pub(super) fn route(context: &Context<'_>, regions: &mut [RegionPlan], mesh: Option<&Mesh>) {
    let gateways: Vec<(Ipv4Net, &super::Gateway)> =
        mesh.iter().flat_map(|mesh| &mesh.gateways).map(|gateway| (gateway.cidr, gateway)).collect();
    for (index, region) in regions.iter_mut().enumerate() {
        let mut shared: Vec<Route> = Vec::new();
        let mut linked = BTreeSet::new();
        for link in &context.topology.links {
            let other = match link.between {
                (first, second) if first == index => second,
                (first, second) if second == index => first,
                _ => continue,
            };
            linked.insert(context.ranges[other].0);
            let via = Via::Link(context.topology.regions[other].id.clone());
            shared.push(Route { destination: context.ranges[other].0, via });
        }
        if let Some((_, own)) = gateways.iter().find(|(_, gateway)| gateway.region == region.id) {
            let others = gateways.iter().filter(|(cidr, _)| *cidr != own.cidr && !linked.contains(cidr));
            shared.extend(
                others.map(|(cidr, _)| Route { destination: *cidr, via: Via::Gateway(own.machine.clone()) }),
            );
        }
        region.route_tables = tables(region, &shared);
    }
}

fn tables(region: &RegionPlan, shared: &[Route]) -> Vec<RouteTable> {
    let mut tables: Vec<RouteTable> = Vec::new();
    for subnet in &region.subnets {
        let by_zone = !subnet.public && region.nat.len() > 1;
        let name = if by_zone { subnet.name.clone() } else { subnet.tier.clone() };
        if let Some(table) = tables.iter_mut().find(|table| table.name == name) {
            table.subnets.push(subnet.name.clone());
            continue;
        }
        let own_nat = region.nat.iter().find(|nat| nat.zone == subnet.zone).or(region.nat.first());
        let way_out = match own_nat {
            _ if subnet.public => region.internet_gateway.then_some(Via::InternetGateway),
            // A database has no business on the internet.
            Some(nat) if subnet.tier != "database" => Some(Via::Nat(nat.name.clone())),
            _ => None,
        };
        let mut routes: Vec<Route> =
            way_out.into_iter().map(|via| Route { destination: Ipv4Net::default(), via }).collect();
        routes.extend(shared.iter().cloned());
        tables.push(RouteTable { name, subnets: vec![subnet.name.clone()], routes });
    }
    tables
}
