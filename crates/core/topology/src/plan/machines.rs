//! Groups and machines of a region, with their zones, subnets and addresses.

use std::collections::BTreeMap;

use univrs_model::name::Name;

use super::build::{Context, join};
use super::label::label;
use super::seat::{Seat, gateway_tier, zone_of};
use super::subnets::Layout;
use super::{Container, Group, Machine, RegionPlan, address};
use crate::cloud::Cloud;
use crate::placeholder;
use crate::spec::{Host, PortSpec};
use crate::topology::Topology;

/// What is counted over all regions.
pub(super) struct Numbers {
    /// The role whose first machine starts the cluster, until it has been placed.
    bootstrap: Option<Name>,
}

impl Numbers {
    /// The stated role starts the cluster, or else the first whose machines may vote.
    pub(super) fn new(topology: &Topology) -> Self {
        let stated =
            topology.roles.iter().find(|role| role.spec.univrs.as_ref().is_some_and(|u| u.bootstrap));
        let bootstrap = stated.or_else(|| topology.roles.iter().find(|role| role.spec.votes()));
        Self { bootstrap: bootstrap.map(|role| role.spec.name.clone()) }
    }

    /// Whether this machine, the next of its role, starts the cluster.
    fn starts(&mut self, role: &Name) -> bool {
        if self.bootstrap.as_ref() == Some(role) {
            self.bootstrap = None;
            return true;
        }
        false
    }
}

/// Whether a port is meant for hosts of this kind.
pub(super) fn applies(port: &PortSpec, host: Host) -> bool {
    port.only.is_none_or(|only| only == host)
}

/// Groups and machines of the region with that index.
///
/// Machines of a role go round the zones. Every machine gets the next address of its subnet, role after role.
pub(super) fn place(
    context: &Context<'_>,
    index: usize,
    layout: &Layout,
    numbers: &mut Numbers,
) -> (Vec<Group>, Vec<Machine>) {
    let region = &context.topology.regions[index];
    let mut next: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    let mut groups = Vec::new();
    let mut machines = Vec::new();
    let place_label = region.id.label();
    for seat in &context.seats[index] {
        let spec = &seat.role.spec;
        groups.push(group(context, seat));
        for number in 0..seat.placement.count {
            let gateway = seat.gateway && number == 0;
            let tier = if gateway { gateway_tier(seat, &context.tiers) } else { seat.tier };
            let zone = zone_of(region, number);
            let taken = next.entry((tier, zone)).or_default();
            // A subnet that is full has been reported when the layout was made.
            let Some(address) = address::host(region.id.cloud, layout.range(tier, zone), *taken) else {
                continue;
            };
            *taken += 1;
            let public_ip = seat.public_ip || gateway;
            let bootstrap = numbers.starts(&spec.name);
            machines.push(Machine {
                name: label(&[spec.name.as_str(), &place_label, &number.to_string()]),
                role: spec.name.clone(),
                region: region.id.clone(),
                index: number,
                zone: region.zones[zone].clone(),
                subnet: layout.name(tier, zone),
                address,
                public_ip,
                dns_name: public_ip
                    .then(|| dns_name(context, region.id.cloud, &region.id.name, seat, number))
                    .flatten(),
                boot_order: match &spec.univrs {
                    _ if bootstrap => 0,
                    Some(_) if spec.votes() => 1,
                    Some(_) => 2,
                    None => 0,
                },
                bootstrap,
                gateway,
                env: BTreeMap::new(),
            });
        }
    }
    (groups, machines)
}

/// The name a machine will have where the provider lets us choose one: Azure, for public addresses.
fn dns_name(
    context: &Context<'_>,
    cloud: Cloud,
    region: &str,
    seat: &Seat<'_>,
    number: u32,
) -> Option<String> {
    if cloud != Cloud::Azure {
        return None;
    }
    let domain = match seat.role.spec.host {
        Host::ContainerGroup => "azurecontainer.io",
        Host::Machine => "cloudapp.azure.com",
    };
    let name = label(&[&context.id, seat.role.spec.name.as_str(), &number.to_string()]);
    Some(format!("{name}.{region}.{domain}"))
}

fn group(context: &Context<'_>, seat: &Seat<'_>) -> Group {
    let (spec, placement) = (&seat.role.spec, seat.placement);
    let container = spec.container.as_ref();
    let facts = placement.facts;
    let stated = spec.size.filter(|_| spec.host == Host::Machine);
    let container_size = container.filter(|_| spec.host == Host::ContainerGroup);
    let vcpu =
        container_size.map(|c| c.cpu).or(stated.and_then(|size| size.vcpu)).or(facts.map(|facts| facts.vcpu));
    let memory = container_size
        .map(|c| c.memory)
        .or(stated.and_then(|size| size.memory))
        .or(facts.map(|facts| facts.memory));
    let ports = spec.ports.iter().filter(|port| applies(port, Host::ContainerGroup));
    Group {
        role: spec.name.clone(),
        host: spec.host,
        machine: placement.machine.clone(),
        vcpu,
        memory,
        arch: facts.and_then(|facts| facts.arch),
        sized: stated.is_some(),
        needs: spec.needs,
        disk: spec.disk,
        purchase: spec.purchase,
        interruptible: spec.interruptible,
        votes: spec.votes(),
        count: placement.count,
        autoscale: placement
            .bounds
            .zip(spec.autoscale)
            .map(|((min, max), scale)| (min, max, scale.target_cpu)),
        tier: context.tiers[seat.tier].name.clone(),
        public_ip: seat.public_ip,
        container: container.map(|container| Container {
            image: container.image.clone(),
            cpu: container.cpu,
            memory: container.memory,
            restart: container.restart.clone(),
            command: container.command.clone(),
            ports: ports.map(|port| (port.port, port.protocol)).collect(),
        }),
        persistence: spec.persistence,
        join: spec.univrs.as_ref().map(join),
        labels: spec.labels.clone(),
    }
}

/// Fills in the environments of containers, which may name any machine of their role.
pub(super) fn fill_environments(context: &Context<'_>, regions: &mut [RegionPlan]) {
    for role in context.topology.roles.iter().filter(|role| !role.spec.env.is_empty()) {
        let name = &role.spec.name;
        let mine = |machine: &&Machine| machine.role == *name;
        let peers: Vec<String> = regions
            .iter()
            .flat_map(|region| region.machines.iter().filter(mine))
            .map(|machine| machine.dns_name.clone().unwrap_or_else(|| machine.address.to_string()))
            .collect();
        let wants_peers = role.spec.env.values().any(|template| template.contains("{peers:"));
        let machines = regions.iter_mut().flat_map(|region| &mut region.machines);
        for (ordinal, machine) in machines.filter(|machine| machine.role == *name).enumerate() {
            let others = if wants_peers { without(&peers, ordinal) } else { Vec::new() };
            let value = |key: &str| {
                Some(match key {
                    "name" => machine.name.clone(),
                    "environment" => context.topology.spec.environment.to_string(),
                    "role" => name.to_string(),
                    "region" => machine.region.name.clone(),
                    "cloud" => machine.region.cloud.to_string(),
                    "zone" => machine.zone.clone(),
                    "index" => ordinal.to_string(),
                    "count" => peers.len().to_string(),
                    "address" => machine.address.to_string(),
                    _ => {
                        let port = key.strip_prefix("peers:")?;
                        let with_port = others.iter().map(|peer| format!("{peer}:{port}"));
                        with_port.collect::<Vec<_>>().join(",")
                    }
                })
            };
            let filled =
                role.spec.env.iter().map(|(key, text)| (key.clone(), placeholder::fill(text, value)));
            machine.env = filled.collect();
        }
    }
}

fn without(peers: &[String], ordinal: usize) -> Vec<&str> {
    peers.iter().enumerate().filter(|(index, _)| *index != ordinal).map(|(_, peer)| peer.as_str()).collect()
}
