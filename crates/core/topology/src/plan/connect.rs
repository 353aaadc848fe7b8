//! The mesh between regions, and stated links beside it.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::build::Context;
use super::{
    Gateway, LinkPlan, Machine, Mesh, MeshRuntime, Overlay, OverlayShape, Peer, RegionPlan, Tunnel, home,
};
use crate::cloud::RegionId;
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::spec::LinkKind;

/// Up to this many nodes of Univrs, every node has a tunnel to every other.
const MOST_FULL: u32 = 100;
/// Above that, so many nodes of each region have tunnels to other regions.
const GATEWAYS: u64 = 2;

/// The mesh and its tunnels; nothing when there is none.
///
/// Every region that has a machine has a gateway, and every pair of gateways has a tunnel. A gateway accepts from
/// a peer exactly the peer's range, and under `wg-quick` its mesh address: with its own these are the ranges of
/// the mesh, each once (TOP-3). Nodes of Univrs have tunnels among themselves besides; there the gateways'
/// machines carry the regions' ranges in their node tunnels.
pub(super) fn mesh(
    context: &Context<'_>,
    regions: &[RegionPlan],
    findings: &mut Findings,
) -> (Option<Mesh>, Vec<Tunnel>) {
    if !context.mesh() {
        return (None, Vec::new());
    }
    let network = context.topology.network();
    let runtime = if context.runs_univrs() { MeshRuntime::Univrs } else { MeshRuntime::WgQuick };
    let mut ends: Vec<(&RegionPlan, &Machine)> = Vec::new();
    for region in regions {
        match region.machines.iter().find(|machine| machine.gateway) {
            Some(machine) => ends.push((region, machine)),
            None => {
                let path = context.topology.spec.regions.iter().find(|spec| spec.id == region.id);
                let path = path.map_or_else(String::new, |spec| spec.path.clone());
                let message = format!("{} has no machine that could be its gateway", region.id);
                let finding = Finding::new(Code::NoGateway, path, message);
                findings.push(finding.hint("place a machine there, or write network.mesh = \"none\""));
            }
        }
    }
    let addresses = mesh_addresses(network.mesh_cidr, &ends, findings);
    let accepted = |index: usize| {
        let own = (runtime == MeshRuntime::WgQuick).then(|| Ipv4Net::from(addresses[index]));
        own.into_iter().chain([ends[index].0.cidr]).collect::<Vec<_>>()
    };
    let mut tunnels = Vec::new();
    for (first, (one, machine)) in ends.iter().enumerate() {
        for (second, (other, other_machine)) in ends.iter().enumerate().skip(first + 1) {
            tunnels.push(Tunnel {
                name: format!("{}--{}", one.id, other.id),
                between: (one.id.clone(), other.id.clone()),
                machines: (machine.name.clone(), other_machine.name.clone()),
                allowed_first: accepted(second),
                allowed_second: accepted(first),
            });
        }
    }
    let gateways = ends.iter().enumerate().map(|(index, (region, machine))| {
        let others = ends.iter().enumerate().filter(|(other, _)| *other != index);
        Gateway {
            region: region.id.clone(),
            machine: machine.name.clone(),
            address: machine.address,
            mesh_address: addresses[index],
            cidr: region.cidr,
            private_key: key(&region.id, "private"),
            peers: others
                .map(|(other, (there, peer))| Peer {
                    region: there.id.clone(),
                    machine: peer.name.clone(),
                    public_key: key(&there.id, "public"),
                    endpoint: peer.public_ip,
                    allowed_ips: accepted(other),
                })
                .collect(),
        }
    });
    let mesh = Mesh {
        runtime,
        range: network.mesh_cidr,
        port: network.mesh_port,
        gateways: gateways.collect(),
        overlay: (runtime == MeshRuntime::Univrs).then(|| overlay(regions)),
    };
    (Some(mesh), tunnels)
}

/// Where a gateway's key is found. Keys are made where they are used and are in no file of ours.
fn key(region: &RegionId, half: &str) -> String {
    format!("wireguard/{}/{half}", region.label())
}

/// An address inside the mesh for each gateway: by the region's own number, or the next free one.
fn mesh_addresses(
    range: Ipv4Net,
    ends: &[(&RegionPlan, &Machine)],
    findings: &mut Findings,
) -> Vec<Ipv4Addr> {
    let (first, last) = (u32::from(range.network()), u32::from(range.broadcast()));
    let room = (last - first).saturating_sub(1);
    if (room as usize) < ends.len() {
        let message = format!("{range} has no room for {} gateways", ends.len());
        findings.push(Finding::new(Code::RangeTooSmall, "network.mesh_cidr", message));
        return vec![range.network(); ends.len()];
    }
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by_key(|index| &ends[*index].0.id);
    let mut taken = std::collections::BTreeSet::new();
    let mut addresses = vec![range.network(); ends.len()];
    for index in order {
        let mut number = home::number(&ends[index].0.id) % room;
        while !taken.insert(number) {
            number = (number + 1) % room;
        }
        addresses[index] = (first + 1 + number).into();
    }
    addresses
}

/// The shape and size of what nodes of Univrs build.
fn overlay(regions: &[RegionPlan]) -> Overlay {
    let counts: Vec<u64> = regions
        .iter()
        .map(|region| {
            region.groups.iter().filter(|group| group.join.is_some()).map(|g| u64::from(g.count)).sum()
        })
        .collect();
    let nodes: u64 = counts.iter().sum();
    let pairs = |n: u64| n * n.saturating_sub(1) / 2;
    let nodes32 = u32::try_from(nodes).unwrap_or(u32::MAX);
    if nodes32 <= MOST_FULL {
        return Overlay { shape: OverlayShape::Full, nodes: nodes32, pairs: pairs(nodes) };
    }
    let within: u64 = counts.iter().map(|count| pairs(*count)).sum();
    let gateways: Vec<u64> = counts.iter().map(|count| (*count).min(GATEWAYS)).collect();
    let all: u64 = gateways.iter().sum();
    let own: u64 = gateways.iter().map(|count| pairs(*count)).sum();
    Overlay { shape: OverlayShape::Regional, nodes: nodes32, pairs: within + pairs(all) - own }
}

/// First of the private autonomous system numbers of four bytes.
const FIRST_ASN: u32 = 4_200_000_000;

/// Stated links with ranges, keys by reference, and an autonomous system of each region's own.
pub(super) fn links(context: &Context<'_>, findings: &mut Findings) -> Vec<LinkPlan> {
    let regions = &context.topology.regions;
    let links = context.topology.links.iter().map(|link| {
        let (first, second) = link.between;
        let ids = (&regions[first].id, &regions[second].id);
        let vpn = link.kind == LinkKind::Vpn;
        let tunnels = if vpn { link.tunnels } else { 0 };
        let asns = (FIRST_ASN + home::number(ids.0), FIRST_ASN + home::number(ids.1));
        if vpn && asns.0 == asns.1 {
            let message = format!("{} and {} have the same number and cannot be told apart", ids.0, ids.1);
            findings.push(Finding::new(Code::BadLink, "link", message));
        }
        let shared = (1..=tunnels).map(|n| format!("vpn/{}--{}/{n}", ids.0.label(), ids.1.label()));
        LinkPlan {
            kind: link.kind,
            between: (ids.0.clone(), ids.1.clone()),
            cidrs: (context.ranges[first].0, context.ranges[second].0),
            asns: vpn.then_some(asns),
            tunnels,
            shared_keys: shared.collect(),
        }
    });
    links.collect()
}
