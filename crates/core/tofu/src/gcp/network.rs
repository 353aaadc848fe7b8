//! Network, subnets, NAT, routes and firewall rules. A network of Google's spans the earth; each region's root has
//! one of its own, so that roots stay independent.

use std::collections::BTreeSet;

use univrs_topology::plan::{SecurityGroup, Via};
use univrs_topology::spec::{Protocol, ServiceKind};

use super::labels;
use crate::cloud_init::protocol_word;
use crate::emission::Gaps;
use crate::site::{Site, free_range, services_of};
use crate::tf::{Charset, Expr, Object, Ref, Resource, Root, Section, Value, fit, key};

/// From where Google's load balancers and instance groups ask whether machines are well.
const PROBERS: [&str; 4] = ["35.191.0.0/16", "130.211.0.0/22", "209.85.152.0/22", "209.85.204.0/22"];
/// Prefix lengths tried for the range that managed databases and caches get inside the network.
const SERVICE_PREFIXES: [u8; 3] = [20, 22, 24];

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    let network = root.add(
        Section::Network,
        Resource::new("google_compute_network", "main")
            .set("name", site.regional("net", 63))
            .set("auto_create_subnetworks", false)
            .set("routing_mode", "GLOBAL"),
    );
    for subnet in &site.region.subnets {
        root.add(
            Section::Network,
            Resource::new("google_compute_subnetwork", key(&subnet.name))
                .set("name", site.regional(&subnet.name, 63))
                .set("network", network.id())
                .set("region", site.region.name.as_str())
                .set("ip_cidr_range", subnet.cidr.to_string())
                .set("private_ip_google_access", true),
        );
    }
    nat(site, root, &network);
    mesh_route(site, root, &network);
    for group in &site.region.security_groups {
        firewall(site, root, &network, group);
    }
    service_range(site, root, &network, gaps);
}

/// The network tag of a role's machines: what rules and routes are bound to.
pub(super) fn role_tag(role: &str) -> String {
    fit(&format!("role-{role}"), 63, Charset::Label)
}

fn nat(site: Site<'_>, root: &mut Root, network: &Ref) {
    let Some(first) = site.region.nat.first() else { return };
    let router = root.add(
        Section::Network,
        Resource::new("google_compute_router", "nat")
            .set("name", site.regional("nat", 63))
            .set("network", network.id())
            .set("region", site.region.name.as_str()),
    );
    // One gateway serves all zones of a region and is not bound to any, however many the plan asks for.
    let served: Vec<&String> = site
        .region
        .route_tables
        .iter()
        .filter(|table| table.routes.iter().any(|route| matches!(route.via, Via::Nat(_))))
        .flat_map(|table| &table.subnets)
        .collect();
    let subnets = served.iter().map(|subnet| {
        Object::new()
            .set("name", Ref::to("google_compute_subnetwork", key(subnet)).id())
            .set("source_ip_ranges_to_nat", Value::list(["ALL_IP_RANGES"]))
    });
    root.add(
        Section::Network,
        Resource::new("google_compute_router_nat", "nat")
            .set("name", site.regional(&first.name, 63))
            .set("router", router.attr("name"))
            .set("region", site.region.name.as_str())
            .set("nat_ip_allocate_option", "AUTO_ONLY")
            .set("source_subnetwork_ip_ranges_to_nat", "LIST_OF_SUBNETWORKS")
            .blocks("subnetwork", subnets)
            .block("log_config", Object::new().set("enable", true).set("filter", "ERRORS_ONLY")),
    );
}

/// Other regions are reached through the region's gateway machine, where there is one.
fn mesh_route(site: Site<'_>, root: &mut Root, network: &Ref) {
    let Some(gateway) = site.router() else { return };
    let machine = Ref::to("google_compute_instance", key(&gateway.name));
    let others = site.mesh_routes(root);
    let stem = site.regional("mesh", 40);
    root.add(
        Section::Network,
        Resource::new("google_compute_route", "mesh")
            .set("for_each", others)
            .set(
                "name",
                Value::join([
                    format!("{stem}-").into(),
                    Expr::new("replace(replace(each.value, \".\", \"-\"), \"/\", \"-\")").into(),
                ]),
            )
            .set("network", network.id())
            .set("dest_range", Expr::new("each.value"))
            .set("next_hop_instance", machine.attr("self_link"))
            .set("next_hop_instance_zone", machine.attr("zone")),
    );
}

fn firewall(site: Site<'_>, root: &mut Root, network: &Ref, group: &SecurityGroup) {
    let role = group.role.as_str();
    for rule in &group.rules {
        let name = format!("{}_{}", key(role), key(&rule.name));
        let body = allow(site, network, role, &name, protocol_word(rule.protocol), rule.port)
            .set("priority", rule.priority)
            .set("source_ranges", site.source_list(rule, root));
        root.add(Section::Network, body);
    }
    for port in probed_ports(site, role) {
        let name = format!("{}_health_{port}", key(role));
        let body = allow(site, network, role, &name, "tcp", port).set("source_ranges", Value::list(PROBERS));
        root.add(Section::Network, body);
    }
}

/// Ports of a role that Google asks whether its machines are well.
fn probed_ports(site: Site<'_>, role: &str) -> BTreeSet<u16> {
    let mut ports: BTreeSet<u16> = site.balancers_of(role).flat_map(crate::balancer::probed_ports).collect();
    let scaled = site.region.group(role).is_some_and(|group| group.autoscale.is_some());
    if ports.is_empty() && scaled {
        ports.extend(healing_port(site, role));
    }
    ports
}

/// The port by which an instance group tells that a machine is well when no load balancer says how.
pub(super) fn healing_port(site: Site<'_>, role: &str) -> Option<u16> {
    let group = site.region.security_groups.iter().find(|group| group.role.as_str() == role)?;
    group.rules.iter().find(|rule| rule.protocol == Protocol::Tcp && rule.port != 22).map(|rule| rule.port)
}

fn allow(site: Site<'_>, network: &Ref, role: &str, name: &str, protocol: &str, port: u16) -> Resource {
    Resource::new("google_compute_firewall", name)
        .set("name", site.regional(name, 63))
        .set("network", network.id())
        .set("direction", "INGRESS")
        .set("target_tags", Value::list([role_tag(role)]))
        .block("allow", Object::new().set("protocol", protocol).set("ports", Value::list([port.to_string()])))
}

/// A range for what Google runs for us, and the connection to it: inside the region's own range where its subnets
/// leave room, so that it cannot meet the range of another region.
fn service_range(site: Site<'_>, root: &mut Root, network: &Ref, gaps: &mut Gaps) {
    let wanted =
        services_of(site).any(|service| matches!(service.kind, ServiceKind::Postgres | ServiceKind::Redis));
    if !wanted {
        return;
    }
    let free = free_range(site.region, &SERVICE_PREFIXES);
    if free.is_none() {
        gaps.add(
            site,
            "services",
            "its range has no room beside the subnets, so Google picks the services' range",
            "give the region a larger `cidr`",
        );
    }
    let range = root.add(
        Section::Network,
        Resource::new("google_compute_global_address", "services")
            .set("name", site.regional("services", 63))
            .set("purpose", "VPC_PEERING")
            .set("address_type", "INTERNAL")
            .set("prefix_length", u32::from(free.map_or(SERVICE_PREFIXES[0], |range| range.prefix_len())))
            .maybe("address", free.map(|range| range.network().to_string()))
            .set("network", network.id())
            .set("labels", labels(&site.tags())),
    );
    root.add(
        Section::Network,
        Resource::new("google_service_networking_connection", "services")
            .set("network", network.id())
            .set("service", "servicenetworking.googleapis.com")
            .set("reserved_peering_ranges", Value::list([range.attr("name")])),
    );
}
