//! Address ranges: who has which, and what is still free.

use ipnet::Ipv4Net;

use super::home;
use crate::cloud::Cloud;
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::spec::{MeshKind, Tier};
use crate::topology::Topology;

/// Kinds of subnets when the file lists none. Each takes room in every range, but only those in use are made.
pub const USUAL_TIERS: [(&str, u8); 3] = [("public", 24), ("private", 20), ("database", 24)];

/// The kinds of subnets of a topology.
pub fn tiers(topology: &Topology) -> Vec<Tier> {
    let stated = &topology.network().subnets;
    if !stated.is_empty() {
        return stated.clone();
    }
    USUAL_TIERS.iter().map(|(name, prefix)| Tier { name: (*name).to_owned(), prefix: *prefix }).collect()
}

/// First and last address of a range, as numbers.
fn ends(range: Ipv4Net) -> (u32, u32) {
    (range.network().into(), range.broadcast().into())
}

/// A range that is taken, and where the file says so.
struct Taken {
    range: Ipv4Net,
    name: String,
    path: String,
}

/// The range of every region in the order of the file, and whether it was chosen here.
///
/// A stated range is kept. Otherwise a region gets the range with its own number out of `network.range`, and only
/// if that is taken the next free one. So no region has a say in the range of another, unless it is stated to lie
/// where the other would.
pub fn assign(topology: &Topology, findings: &mut Findings) -> Vec<Option<(Ipv4Net, bool)>> {
    let network = topology.network();
    let mut taken: Vec<Taken> = Vec::new();
    for (index, range) in network.reserved.iter().enumerate() {
        let path = format!("network.reserved[{index}]");
        taken.push(Taken { range: *range, name: "a reserved range".into(), path });
    }
    if network.mesh == MeshKind::WireGuard {
        let (range, path) = (network.mesh_cidr, "network.mesh_cidr".to_owned());
        taken.push(Taken { range, name: "the range of the mesh".into(), path });
    }
    for region in &topology.regions {
        let Some(range) = region.cidr else { continue };
        let stated = topology.spec.regions.iter().find(|stated| stated.id == region.id);
        let path = stated.map_or_else(String::new, |stated| format!("{}.cidr", stated.path));
        check_size(region.id.cloud, range, &path, findings);
        taken.push(Taken { range, name: region.id.to_string(), path });
    }
    overlaps(&taken, findings);
    let mut busy: Vec<(u32, u32)> = taken.iter().map(|taken| ends(taken.range)).collect();
    let mut assigned: Vec<Option<(Ipv4Net, bool)>> =
        topology.regions.iter().map(|region| region.cidr.map(|range| (range, false))).collect();

    // First every region whose own range is free, then those that have to move, both in the order of their names:
    // the order of the file does not matter.
    let mut open: Vec<usize> = (0..assigned.len()).filter(|index| assigned[*index].is_none()).collect();
    open.sort_by_key(|index| &topology.regions[*index].id);
    let slots = Slots::new(network.range, network.region_prefix);
    let mut moved = Vec::new();
    for index in open {
        let number = home::number(&topology.regions[index].id);
        match slots.at(number).filter(|range| free(&busy, *range).is_ok()) {
            Some(range) => {
                busy.push(ends(range));
                assigned[index] = Some((range, true));
            }
            None => moved.push((index, number)),
        }
    }
    for (index, number) in moved {
        match slots.next_free(number, &busy) {
            Some(range) => {
                busy.push(ends(range));
                assigned[index] = Some((range, true));
            }
            None => {
                let message = format!("{} has no room for {}", network.range, topology.regions[index].id);
                findings.push(Finding::new(Code::NoFreeRange, "network.range", message));
            }
        }
    }
    for (index, region) in topology.regions.iter().enumerate() {
        if let Some((range, true)) = assigned[index] {
            check_size(region.id.cloud, range, "network.region_prefix", findings);
        }
    }
    assigned
}

/// The ranges of one size in a pool.
struct Slots {
    pool: Ipv4Net,
    prefix: u8,
    count: u32,
}

impl Slots {
    fn new(pool: Ipv4Net, prefix: u8) -> Self {
        let bits = prefix.saturating_sub(pool.prefix_len()).min(31);
        Self { pool, prefix, count: 1 << bits }
    }

    /// The range with that number, counted round.
    fn at(&self, number: u32) -> Option<Ipv4Net> {
        let start = u32::from(self.pool.network());
        let offset = (number % self.count).checked_shl(32 - u32::from(self.prefix))?;
        Ipv4Net::new(start.checked_add(offset)?.into(), self.prefix).ok()
    }

    /// The first free range from that number on, counted round.
    fn next_free(&self, number: u32, busy: &[(u32, u32)]) -> Option<Ipv4Net> {
        let first = number % self.count;
        let mut step = 0;
        while step < self.count {
            let slot = (first + step) % self.count;
            let range = self.at(slot)?;
            match free(busy, range) {
                Ok(()) => return Some(range),
                // Over what is in the way, and not beyond the end, where counting starts anew.
                Err(last) => {
                    let after =
                        (last.saturating_sub(u32::from(self.pool.network())) >> (32 - self.prefix)) + 1;
                    step += after.min(self.count).saturating_sub(slot).max(1);
                }
            }
        }
        None
    }
}

/// Whether `range` touches nothing of `busy`; else the last address of something it touches.
fn free(busy: &[(u32, u32)], range: Ipv4Net) -> Result<(), u32> {
    let (first, last) = ends(range);
    match busy.iter().find(|(start, end)| *start <= last && first <= *end) {
        Some((_, end)) => Err(*end),
        None => Ok(()),
    }
}

/// Says which ranges lie in each other.
fn overlaps(taken: &[Taken], findings: &mut Findings) {
    let mut order: Vec<usize> = (0..taken.len()).collect();
    order.sort_by_key(|index| (ends(taken[*index].range).0, *index));
    let mut widest: Option<usize> = None;
    for index in order {
        if let Some(before) = widest
            && ends(taken[before].range).1 >= ends(taken[index].range).0
        {
            // Who stands later in the list is told; reserved ranges and the mesh stand first.
            let (first, second) = (&taken[before.min(index)], &taken[before.max(index)]);
            if !second.path.starts_with("network.reserved") {
                let message = format!("{} overlaps {} of {}", second.range, first.range, first.name);
                let finding = Finding::new(Code::RangeOverlap, second.path.clone(), message);
                findings.push(finding.hint("leave `cidr` out and a free range is found"));
            }
        }
        if widest.is_none_or(|before| ends(taken[before].range).1 < ends(taken[index].range).1) {
            widest = Some(index);
        }
    }
}

/// Shortest and longest prefix of a network, and the longest of a subnet.
fn sizes(cloud: Cloud) -> (u8, u8, u8) {
    match cloud {
        Cloud::Aws | Cloud::DigitalOcean => (16, 28, 28),
        Cloud::Oci => (16, 30, 30),
        Cloud::Azure | Cloud::Gcp | Cloud::Hetzner | Cloud::Cloudflare => (8, 29, 29),
    }
}

fn check_size(cloud: Cloud, range: Ipv4Net, path: &str, findings: &mut Findings) {
    let (shortest, longest, _) = sizes(cloud);
    if !(shortest..=longest).contains(&range.prefix_len()) {
        let message = format!("{range} is not within /{shortest} to /{longest}, which {cloud} allows");
        findings.push(Finding::new(Code::RangeSize, path, message));
    }
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"];
    if !private.iter().filter_map(|net| net.parse::<Ipv4Net>().ok()).any(|net| net.contains(&range)) {
        findings.push(Finding::new(Code::RangeNotPrivate, path, format!("{range} is not a private range")));
    }
}

/// Subnets of a region: for each tier, one range for each zone; nothing when they do not fit.
///
/// The largest come first, so that each begins where it must without gaps.
pub fn cut(
    cloud: Cloud,
    range: Ipv4Net,
    tiers: &[Tier],
    zones: usize,
) -> Result<Vec<Vec<Ipv4Net>>, CutError> {
    let mut order: Vec<usize> = (0..tiers.len()).collect();
    order.sort_by_key(|tier| tiers[*tier].prefix);
    let (shortest, _, longest) = sizes(cloud);
    let mut subnets = vec![Vec::with_capacity(zones); tiers.len()];
    let (first, last) = ends(range);
    let mut next = u64::from(first);
    for tier in order {
        let prefix = tiers[tier].prefix;
        if prefix > longest || (prefix < shortest && prefix < range.prefix_len()) {
            return Err(CutError::Size { tier, longest });
        }
        let size = 1u64 << (32 - u32::from(prefix));
        for _ in 0..zones {
            let subnet = u32::try_from(next).ok().and_then(|start| Ipv4Net::new(start.into(), prefix).ok());
            let subnet =
                subnet.filter(|_| next + size - 1 <= u64::from(last)).ok_or(CutError::Room { tier })?;
            subnets[tier].push(subnet);
            next += size;
        }
    }
    Ok(subnets)
}

/// Why a range cannot be cut; the numbers are of tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutError {
    /// It is not large enough, which shows at this tier.
    Room {
        /// The tier.
        tier: usize,
    },
    /// The provider has no subnets of this tier's size.
    Size {
        /// The tier.
        tier: usize,
        /// The longest prefix the provider has.
        longest: u8,
    },
}

/// How many addresses of a subnet machines can have.
pub fn usable(cloud: Cloud, subnet: Ipv4Net) -> u32 {
    let reserved = cloud.reserved_addresses();
    let (first, last) = ends(subnet);
    (last - first).saturating_add(1).saturating_sub(reserved.first + reserved.last)
}

/// The machine address with that number in a subnet, from 0; nothing beyond the last.
pub fn host(cloud: Cloud, subnet: Ipv4Net, number: u32) -> Option<std::net::Ipv4Addr> {
    if number >= usable(cloud, subnet) {
        return None;
    }
    let first = u32::from(subnet.network()) + cloud.reserved_addresses().first;
    Some((first + number).into())
}
