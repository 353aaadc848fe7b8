//! Managed services and load balancers, and which subnets they lie in.

use super::build::Context;
use super::label::label;
use super::machines::applies;
use super::{LoadBalancer, Machine, ServiceInstance, Subnet};
use crate::cloud::Cloud;
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::spec::{Per, PortFrom, Protocol, ServiceKind};
use crate::topology::Service;

/// The tier a kind of service lies in; nothing for what has no place in a network.
pub(super) fn service_tier(context: &Context<'_>, kind: ServiceKind) -> Option<usize> {
    let find = |name: &str| context.tiers.iter().position(|tier| tier.name == name);
    match kind {
        ServiceKind::Postgres | ServiceKind::Redis => find("database").or(find("private")).or(Some(0)),
        ServiceKind::LoadBalancer => find("public").or(Some(0)),
        ServiceKind::ObjectStorage | ServiceKind::Keys | ServiceKind::Logs => None,
    }
}

fn subnets_of(context: &Context<'_>, kind: ServiceKind, subnets: &[Subnet]) -> Vec<String> {
    let Some(tier) = service_tier(context, kind) else { return Vec::new() };
    let tier = &context.tiers[tier].name;
    subnets.iter().filter(|subnet| subnet.tier == *tier).map(|subnet| subnet.name.clone()).collect()
}

fn is_per_cloud(service: &Service) -> bool {
    service.spec.per == Per::Cloud
}

fn instance(context: &Context<'_>, service: &Service, region: usize, subnets: &[Subnet]) -> ServiceInstance {
    let id = &context.topology.regions[region].id;
    let place = if is_per_cloud(service) { id.cloud.to_string() } else { id.label() };
    ServiceInstance {
        name: label(&[service.spec.label.as_str(), &place]),
        kind: service.spec.kind,
        cloud: id.cloud,
        region: id.clone(),
        machine: service.spec.machine.get(&id.cloud).cloned(),
        subnets: subnets_of(context, service.spec.kind, subnets),
        spec: service.spec.clone(),
    }
}

/// Services of the region with that index. Load balancers are apart, as they belong to a role; a service per cloud
/// that lies in a network belongs to the region it lies in.
pub(super) fn of_region(context: &Context<'_>, index: usize, subnets: &[Subnet]) -> Vec<ServiceInstance> {
    let here = context.topology.services.iter().filter(|service| {
        let kind = service.spec.kind;
        let in_network = service_tier(context, kind).is_some();
        kind != ServiceKind::LoadBalancer
            && service.regions.contains(&index)
            && (!is_per_cloud(service) || in_network)
    });
    here.map(|service| instance(context, service, index, subnets)).collect()
}

/// Services a cloud has once and that have no place in a network.
pub(super) fn of_cloud(context: &Context<'_>, cloud: Cloud) -> Vec<ServiceInstance> {
    let regions = &context.topology.regions;
    let per_cloud = context
        .topology
        .services
        .iter()
        .filter(|service| is_per_cloud(service) && service_tier(context, service.spec.kind).is_none());
    let here = per_cloud.filter_map(|service| {
        let region = service.regions.iter().find(|region| regions[**region].id.cloud == cloud)?;
        Some(instance(context, service, *region, &[]))
    });
    here.collect()
}

/// Load balancers of the region with that index. Where a role has no machines, none is made.
pub(super) fn load_balancers(
    context: &Context<'_>,
    index: usize,
    subnets: &[Subnet],
    machines: &[Machine],
    findings: &mut Findings,
) -> Vec<LoadBalancer> {
    let mut balancers = Vec::new();
    for service in &context.topology.services {
        let spec = &service.spec;
        let wanted = spec.kind == ServiceKind::LoadBalancer && service.regions.contains(&index);
        let seat = context.seats[index]
            .iter()
            .find(|seat| wanted && spec.target.as_deref() == Some(seat.role.spec.name.as_str()));
        let Some(seat) = seat else { continue };
        let role = &seat.role.spec;
        let ports: Vec<(u16, Protocol)> = role
            .ports
            .iter()
            .filter(|port| port.from == PortFrom::Internet && applies(port, role.host))
            .map(|port| (port.port, port.protocol))
            .collect();
        if ports.is_empty() {
            if seat.role.placements.first().is_some_and(|placement| placement.region == index) {
                let message = format!("`{}` has no port from the internet for the load balancer", role.name);
                let path = format!("service.{}.for", spec.name);
                let hint =
                    format!("add ports = [{{ port = 443, from = \"internet\" }}] to [role.{}]", role.name);
                findings.push(Finding::new(Code::NoListener, path, message).hint(hint));
            }
            continue;
        }
        let mut health = spec.health.clone().unwrap_or_default();
        health.port = health.port.or(Some(ports[0].0));
        balancers.push(LoadBalancer {
            name: spec.label.to_string(),
            role: role.name.clone(),
            ports,
            health,
            subnets: subnets_of(context, spec.kind, subnets),
            machines: machines.iter().filter(|m| m.role == role.name).map(|m| m.name.clone()).collect(),
        });
    }
    balancers
}
