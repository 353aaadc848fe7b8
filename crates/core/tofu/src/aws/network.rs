//! Network, subnets, routes, gateways and security groups.

use univrs_topology::plan::{Rule, SecurityGroup, Via};

use crate::cloud_init::protocol_word;
use crate::site::Site;
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

pub(super) fn emit(site: Site<'_>, root: &mut Root) {
    let vpc = root.add(
        Section::Network,
        Resource::new("aws_vpc", "main")
            .set("cidr_block", site.region.cidr.to_string())
            .set("enable_dns_support", true)
            .set("enable_dns_hostnames", true)
            .set("tags", named(site, "")),
    );
    if site.region.internet_gateway {
        let gateway = Resource::new("aws_internet_gateway", "main").set("vpc_id", vpc.id());
        root.add(Section::Network, gateway.set("tags", named(site, "")));
    }
    subnets(site, root, &vpc);
    nat(site, root);
    routes(site, root, &vpc);
    for group in &site.region.security_groups {
        security_group(site, root, &vpc, group);
    }
}

/// Tags with the `Name` the console shows.
pub(super) fn named(site: Site<'_>, thing: &str) -> Value {
    let mut tags = site.tags();
    let name =
        if thing.is_empty() { site.region.name.clone() } else { format!("{}-{thing}", site.region.name) };
    tags.insert("Name".to_owned(), site.name(&name, 255));
    tags.into()
}

fn subnets(site: Site<'_>, root: &mut Root, vpc: &Ref) {
    for subnet in &site.region.subnets {
        root.add(
            Section::Network,
            Resource::new("aws_subnet", key(&subnet.name))
                .set("vpc_id", vpc.id())
                .set("cidr_block", subnet.cidr.to_string())
                .set("availability_zone", subnet.zone.as_str())
                .set("tags", named(site, &subnet.name)),
        );
    }
}

fn nat(site: Site<'_>, root: &mut Root) {
    for nat in &site.region.nat {
        let name = key(&nat.name);
        let address = root.add(
            Section::Network,
            Resource::new("aws_eip", &name).set("domain", "vpc").set("tags", named(site, &nat.name)),
        );
        root.add(
            Section::Network,
            Resource::new("aws_nat_gateway", &name)
                .set("allocation_id", address.id())
                .set("subnet_id", Ref::to("aws_subnet", key(&nat.subnet)).id())
                .set("tags", named(site, &nat.name))
                // Without the gateway there is no way out for the NAT either, and no argument says so.
                .after(&Ref::to("aws_internet_gateway", "main")),
        );
    }
}

fn routes(site: Site<'_>, root: &mut Root, vpc: &Ref) {
    for table in &site.region.route_tables {
        let name = key(&table.name);
        let reference = root.add(
            Section::Network,
            Resource::new("aws_route_table", &name)
                .set("vpc_id", vpc.id())
                .set("tags", named(site, &table.name)),
        );
        for subnet in &table.subnets {
            root.add(
                Section::Network,
                Resource::new("aws_route_table_association", key(subnet))
                    .set("subnet_id", Ref::to("aws_subnet", key(subnet)).id())
                    .set("route_table_id", reference.id()),
            );
        }
        for (index, route) in table.routes.iter().enumerate() {
            let body = Resource::new("aws_route", format!("{name}_{index}"))
                .set("route_table_id", reference.id())
                .set("destination_cidr_block", route.destination.to_string());
            let body = match &route.via {
                Via::InternetGateway => body.set("gateway_id", Ref::to("aws_internet_gateway", "main").id()),
                Via::Nat(nat) => body.set("nat_gateway_id", Ref::to("aws_nat_gateway", key(nat)).id()),
                // Those through the gateway machine follow below; those of a connection are added by its root,
                // which alone knows both ends.
                Via::Gateway(_) | Via::Link(_) => continue,
            };
            root.add(Section::Network, body);
        }
        if let Some(machine) = site.router() {
            let interface = Ref::to("aws_instance", key(&machine.name)).attr("primary_network_interface_id");
            let routes = site.mesh_routes(root);
            root.add(
                Section::Network,
                Resource::new("aws_route", format!("{name}_mesh"))
                    .set("for_each", routes)
                    .set("route_table_id", reference.id())
                    .set("destination_cidr_block", Expr::new("each.value"))
                    .set("network_interface_id", interface),
            );
        }
    }
}

fn security_group(site: Site<'_>, root: &mut Root, vpc: &Ref, group: &SecurityGroup) {
    let role = group.role.as_str();
    let reference = root.add(
        Section::Network,
        Resource::new("aws_security_group", key(role))
            .set("name", site.regional(role, 255))
            .set("description", format!("Machines of the role {role}"))
            .set("vpc_id", vpc.id())
            .set("tags", named(site, role)),
    );
    root.add(
        Section::Network,
        Resource::new("aws_vpc_security_group_egress_rule", key(role))
            .set("security_group_id", reference.id())
            .set("ip_protocol", "-1")
            .set("cidr_ipv4", "0.0.0.0/0"),
    );
    for rule in &group.rules {
        ingress(site, root, &reference, role, rule);
    }
    for balancer in site.balancers_of(role) {
        for port in crate::balancer::probed_ports(balancer) {
            let name = format!("{}_{}_{port}", key(role), key(&balancer.name));
            root.add(
                Section::Network,
                Resource::new("aws_vpc_security_group_ingress_rule", name)
                    .set("security_group_id", reference.id())
                    .set("description", format!("health checks of {}", balancer.name))
                    .set("ip_protocol", "tcp")
                    .set("from_port", port)
                    .set("to_port", port)
                    .set("cidr_ipv4", site.region.cidr.to_string()),
            );
        }
    }
}

fn ingress(site: Site<'_>, root: &mut Root, group: &Ref, role: &str, rule: &Rule) {
    let name = format!("{}_{}", key(role), key(&rule.name));
    let body = |name: String| {
        Resource::new("aws_vpc_security_group_ingress_rule", name)
            .set("security_group_id", group.id())
            .set("description", rule.name.as_str())
            .set("ip_protocol", protocol_word(rule.protocol))
            .set("from_port", rule.port)
            .set("to_port", rule.port)
    };
    let sources = site.sources(rule);
    if sources.mesh {
        let ranges = site.mesh_ranges(root);
        let each = Expr::new(format!("toset({})", ranges.text()));
        let body =
            body(format!("{name}_mesh")).set("for_each", each).set("cidr_ipv4", Expr::new("each.value"));
        root.add(Section::Network, body);
    }
    for (index, range) in sources.literal.iter().enumerate() {
        let family = if range.contains(':') { "cidr_ipv6" } else { "cidr_ipv4" };
        root.add(Section::Network, body(format!("{name}_{index}")).set(family, range));
    }
}

/// A security group that lets the region's own machines reach a managed service.
pub(super) fn service_group(site: Site<'_>, root: &mut Root, name: &str, port: u16) -> Ref {
    let vpc = Ref::to("aws_vpc", "main");
    let group = root.add(
        Section::Services,
        Resource::new("aws_security_group", key(name))
            .set("name", site.name(name, 255))
            .set("description", format!("Clients of {name}"))
            .set("vpc_id", vpc.id())
            .set("tags", named(site, name)),
    );
    root.add(
        Section::Services,
        Resource::new("aws_vpc_security_group_ingress_rule", key(name))
            .set("security_group_id", group.id())
            .set("ip_protocol", "tcp")
            .set("from_port", port)
            .set("to_port", port)
            .set("cidr_ipv4", site.region.cidr.to_string()),
    );
    group
}

/// References to subnets by name.
pub(super) fn subnet_ids<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    Value::list(names.into_iter().map(|name| Ref::to("aws_subnet", key(name)).id()))
}

/// A block of one key.
pub(super) fn tag_block(key: &str, value: &str) -> Object {
    Object::new().set("key", key).set("value", value).set("propagate_at_launch", true)
}
