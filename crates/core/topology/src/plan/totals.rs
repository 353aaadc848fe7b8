//! How many resources of each kind each provider will have.

use std::collections::BTreeMap;

use super::Plan;
use crate::cloud::Cloud;
use crate::spec::{Host, LinkKind, ServiceKind};

/// Counts the resources of `plan`.
pub(super) fn resources(plan: &Plan) -> BTreeMap<Cloud, BTreeMap<String, u32>> {
    let mut counts: BTreeMap<Cloud, BTreeMap<String, u32>> = BTreeMap::new();
    let mut add = |cloud: Cloud, kind: &str, number: usize| {
        if number > 0 {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            *counts.entry(cloud).or_default().entry(kind.to_owned()).or_default() += number;
        }
    };
    for region in &plan.regions {
        let cloud = region.cloud;
        let hosted = |host: Host| {
            let groups = region.groups.iter().filter(|group| group.host == host);
            groups.map(|group| group.count as usize).sum::<usize>()
        };
        let public = region.machines.iter().filter(|machine| machine.public_ip).count();
        add(cloud, "network", 1);
        add(cloud, "subnet", region.subnets.len());
        add(cloud, "internet_gateway", usize::from(region.internet_gateway));
        add(cloud, "nat_gateway", region.nat.len());
        add(cloud, "public_address", public + region.nat.len());
        add(cloud, "route_table", region.route_tables.len());
        add(cloud, "route", region.route_tables.iter().map(|table| table.routes.len()).sum());
        add(cloud, "security_group", region.security_groups.len());
        add(cloud, "security_rule", region.security_groups.iter().map(|group| group.rules.len()).sum());
        add(cloud, "machine", hosted(Host::Machine));
        add(cloud, "container_group", hosted(Host::ContainerGroup));
        add(cloud, "load_balancer", region.load_balancers.len());
        for service in &region.services {
            add(cloud, kind(service.kind), 1);
        }
    }
    for cloud in &plan.clouds {
        for service in &cloud.services {
            add(cloud.cloud, kind(service.kind), 1);
        }
    }
    for link in &plan.links {
        for end in [&link.between.0, &link.between.1] {
            match link.kind {
                LinkKind::Peering => add(end.cloud, "peering", 1),
                LinkKind::Vpn => add(end.cloud, "vpn_connection", 1),
            }
        }
    }
    if let Some(dns) = &plan.dns {
        add(dns.provider, "dns_record", dns.records.len());
        add(dns.provider, "health_check", dns.health_checks.len());
    }
    counts
}

fn kind(kind: ServiceKind) -> &'static str {
    match kind {
        ServiceKind::Postgres => "postgres",
        ServiceKind::Redis => "redis",
        ServiceKind::LoadBalancer => "load_balancer",
        ServiceKind::ObjectStorage => "object_storage",
        ServiceKind::Keys => "keys",
        ServiceKind::Logs => "logs",
    }
}
