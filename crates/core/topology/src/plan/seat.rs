//! Where a role's machines sit in a region: the kind of subnet, and whether they have public addresses.

use crate::cloud::Cloud;
use crate::spec::{Expose, Host, PortFrom, Purchase, Tier};
use crate::topology::{Placement, Region, Role, Topology};

/// The seat of one role in one region.
#[derive(Clone, Debug)]
pub(super) struct Seat<'a> {
    pub(super) role: &'a Role,
    pub(super) placement: &'a Placement,
    /// Index of the kind of subnet.
    pub(super) tier: usize,
    /// Whether every machine has a public address.
    pub(super) public_ip: bool,
    /// Whether its first machine is the region's gateway into the mesh.
    pub(super) gateway: bool,
}

impl Seat<'_> {
    /// Machines when the group is as large as it may become.
    pub(super) fn largest(&self) -> u32 {
        self.placement.bounds.map_or(self.placement.count, |(_, most)| most.max(self.placement.count))
    }

    fn is_machine(&self) -> bool {
        self.role.spec.host == Host::Machine
    }
}

fn find(tiers: &[Tier], name: &str) -> Option<usize> {
    tiers.iter().position(|tier| tier.name == name)
}

/// The kind of subnet of a role.
///
/// What the file says counts. Otherwise machines that people reach directly sit in `public`, machines behind a load
/// balancer in `private`. Where the file lists no kinds of subnets all others sit in `public` too: a small topology
/// should not need a NAT gateway.
fn tier_of(role: &Role, tiers: &[Tier], stated: bool) -> usize {
    let spec = &role.spec;
    if let Some(index) = spec.tier.as_deref().and_then(|name| find(tiers, name)) {
        return index;
    }
    let reached = spec.ports.iter().any(|port| port.from == PortFrom::Internet) && role.behind.is_none();
    let public = match spec.expose {
        Some(Expose::Public) => true,
        Some(Expose::Private) => false,
        None => reached || (!stated && role.behind.is_none()),
    };
    let wanted = if public { ["public", "private"] } else { ["private", "public"] };
    let other = || tiers.iter().position(|tier| tier.name != "database");
    wanted.iter().find_map(|name| find(tiers, name)).or_else(other).unwrap_or(0)
}

/// Whether a cloud has gateways for machines without public addresses.
pub(super) fn has_nat(cloud: Cloud) -> bool {
    !matches!(cloud, Cloud::Hetzner | Cloud::DigitalOcean)
}

fn public_ip(role: &Role, tier: &Tier, cloud: Cloud) -> bool {
    match role.spec.expose {
        Some(expose) => expose == Expose::Public,
        // Without a public address and without a NAT gateway a machine could not even be installed.
        None => tier.name == "public" || !has_nat(cloud),
    }
}

/// The seats of all roles in the region with that index, in the order of the file.
pub(super) fn seats<'a>(topology: &'a Topology, tiers: &[Tier], region: usize, mesh: bool) -> Vec<Seat<'a>> {
    let cloud = topology.regions[region].id.cloud;
    let stated = !topology.network().subnets.is_empty();
    let mut seats: Vec<Seat<'a>> = Vec::new();
    for role in &topology.roles {
        let Some(placement) = role.placements.iter().find(|placement| placement.region == region) else {
            continue;
        };
        let tier = tier_of(role, tiers, stated);
        let public_ip = public_ip(role, &tiers[tier], cloud);
        seats.push(Seat { role, placement, tier, public_ip, gateway: false });
    }
    if mesh {
        // The gateway needs a public address and has to stay: not spot, not part of a group that shrinks, and
        // rather not a voter, which should be out of reach.
        let best = seats.iter_mut().filter(|seat| seat.is_machine() && seat.placement.count > 0).min_by_key(
            |seat| {
                let spec = &seat.role.spec;
                let spot = spec.purchase == Purchase::Spot;
                (spot, spec.autoscale.is_some(), !seat.public_ip, spec.votes())
            },
        );
        if let Some(seat) = best {
            seat.gateway = true;
        }
    }
    seats
}

/// The tier a gateway sits in: where public addresses work.
pub(super) fn gateway_tier(seat: &Seat<'_>, tiers: &[Tier]) -> usize {
    if seat.public_ip { seat.tier } else { find(tiers, "public").unwrap_or(seat.tier) }
}

/// The zone of the machine with that number.
pub(super) fn zone_of(region: &Region, number: u32) -> usize {
    number as usize % region.zones.len().max(1)
}
