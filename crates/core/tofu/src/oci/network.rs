//! Network, subnets, gateways, routes and security groups.

use univrs_topology::plan::{RouteTable, SecurityGroup, Via};
use univrs_topology::spec::Protocol;

use super::{compartment, tags};
use crate::emission::Gaps;
use crate::site::Site;
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

/// Numbers of the protocols, as Oracle writes them.
const fn number(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "6",
        Protocol::Udp => "17",
    }
}

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    let network = root.add(
        Section::Network,
        Resource::new("oci_core_vcn", "main")
            .set("compartment_id", compartment())
            .set("cidr_blocks", Value::list([site.region.cidr.to_string()]))
            .set("display_name", site.regional("net", 255))
            .set("freeform_tags", tags(&site.tags())),
    );
    let part = |kind: &str, name: &str, thing: &str| {
        Resource::new(kind, name)
            .set("compartment_id", compartment())
            .set("vcn_id", network.id())
            .set("display_name", site.regional(thing, 255))
            .set("freeform_tags", tags(&site.tags()))
    };
    if site.region.internet_gateway {
        root.add(
            Section::Network,
            part("oci_core_internet_gateway", "main", "internet").set("enabled", true),
        );
    }
    if !site.region.nat.is_empty() {
        // One serves the whole network, however many the plan asks for.
        root.add(Section::Network, part("oci_core_nat_gateway", "main", "nat"));
    }
    // The list a network comes with opens SSH to everyone; rules stand in the groups of the roles instead.
    let list = root.add(
        Section::Network,
        part("oci_core_security_list", "main", "none").block(
            "egress_security_rules",
            Object::new().set("destination", "0.0.0.0/0").set("protocol", "all"),
        ),
    );
    for table in &site.region.route_tables {
        let body = part("oci_core_route_table", &key(&table.name), &table.name)
            .blocks("route_rules", rules(site, table, gaps));
        root.add(Section::Network, body);
    }
    for subnet in &site.region.subnets {
        let table = site.region.route_tables.iter().find(|table| table.subnets.contains(&subnet.name));
        let body = part("oci_core_subnet", &key(&subnet.name), &subnet.name)
            .set("cidr_block", subnet.cidr.to_string())
            .set("prohibit_public_ip_on_vnic", !subnet.public)
            .set("security_list_ids", Value::list([list.id()]))
            .maybe(
                "route_table_id",
                table.map(|table| Ref::to("oci_core_route_table", key(&table.name)).id()),
            );
        root.add(Section::Network, body);
    }
    for group in &site.region.security_groups {
        let role = group.role.as_str();
        let reference = root.add(Section::Network, part("oci_core_network_security_group", &key(role), role));
        security_rules(site, root, &reference, group);
    }
}

fn rules(site: Site<'_>, table: &RouteTable, gaps: &mut Gaps) -> Vec<Object> {
    let mut rules = Vec::new();
    for route in &table.routes {
        let target = match &route.via {
            Via::InternetGateway => Ref::to("oci_core_internet_gateway", "main").id(),
            Via::Nat(_) => Ref::to("oci_core_nat_gateway", "main").id(),
            Via::Gateway(machine) => {
                gaps.add(
                    site,
                    machine,
                    "routes through it are not emitted: they need the id of its private address",
                    "reach other regions from machines that run Univrs, or add the routes by hand",
                );
                continue;
            }
            Via::Link(_) => continue,
        };
        rules.push(
            Object::new()
                .set("destination", route.destination.to_string())
                .set("destination_type", "CIDR_BLOCK")
                .set("network_entity_id", target),
        );
    }
    rules
}

fn security_rules(site: Site<'_>, root: &mut Root, reference: &Ref, group: &SecurityGroup) {
    let role = key(group.role.as_str());
    let rule = |name: String| {
        Resource::new("oci_core_network_security_group_security_rule", name)
            .set("network_security_group_id", reference.id())
    };
    root.add(
        Section::Network,
        rule(format!("{role}_out"))
            .set("direction", "EGRESS")
            .set("protocol", "all")
            .set("destination", "0.0.0.0/0")
            .set("destination_type", "CIDR_BLOCK"),
    );
    for stated in &group.rules {
        let options = match stated.protocol {
            Protocol::Tcp => "tcp_options",
            Protocol::Udp => "udp_options",
        };
        let range = Object::new().set("min", stated.port).set("max", stated.port);
        let name = format!("{role}_{}", key(&stated.name));
        let body = |name: String, source: Value| {
            rule(name)
                .set("direction", "INGRESS")
                .set("description", stated.name.as_str())
                .set("protocol", number(stated.protocol))
                .set("source", source)
                .set("source_type", "CIDR_BLOCK")
                .block(options, Object::new().block("destination_port_range", range.clone()))
        };
        let sources = site.sources(stated);
        if sources.mesh {
            let ranges = site.mesh_ranges(root);
            let each = Expr::new(format!("toset({})", ranges.text()));
            let body = body(format!("{name}_mesh"), Expr::new("each.value").into()).set("for_each", each);
            root.add(Section::Network, body);
        }
        for (index, source) in sources.literal.iter().enumerate() {
            root.add(Section::Network, body(format!("{name}_{index}"), source.into()));
        }
    }
}
