//! Network, subnets, NAT, routes and network security groups.

use univrs_topology::plan::{Rule, SecurityGroup, Subnet, Via};
use univrs_topology::spec::Host;

use super::{inside, placed, zone};
use crate::cloud_init::protocol_word;
use crate::site::Site;
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

pub(super) fn emit(site: Site<'_>, root: &mut Root) {
    let network = root.add(
        Section::Network,
        placed(site, "azurerm_virtual_network", "main", site.regional("net", 64))
            .set("address_space", Value::list([site.region.cidr.to_string()])),
    );
    for subnet in &site.region.subnets {
        let body = inside("azurerm_subnet", &key(&subnet.name), subnet.name.as_str())
            .set("virtual_network_name", network.attr("name"))
            .set("address_prefixes", Value::list([subnet.cidr.to_string()]))
            .blocks("delegation", delegation(site, subnet));
        root.add(Section::Network, body);
    }
    nat(site, root);
    routes(site, root);
    for group in &site.region.security_groups {
        security_group(site, root, group);
    }
}

/// A subnet of container groups must be given to their service, and holds nothing else.
fn delegation(site: Site<'_>, subnet: &Subnet) -> Option<Object> {
    let contained = site
        .region
        .groups
        .iter()
        .any(|group| group.host == Host::ContainerGroup && !group.public_ip && group.tier == subnet.tier);
    contained.then(|| {
        Object::new().set("name", "containers").block(
            "service_delegation",
            Object::new()
                .set("name", "Microsoft.ContainerInstance/containerGroups")
                .set("actions", Value::list(["Microsoft.Network/virtualNetworks/subnets/action"])),
        )
    })
}

fn nat(site: Site<'_>, root: &mut Root) {
    for nat in &site.region.nat {
        let name = key(&nat.name);
        let zones = zone(site, &nat.zone).map(|zone| Value::list([zone]));
        let address = root.add(
            Section::Network,
            placed(site, "azurerm_public_ip", &name, site.regional(&nat.name, 80))
                .set("allocation_method", "Static")
                .set("sku", "Standard")
                .maybe("zones", zones.clone()),
        );
        let gateway = root.add(
            Section::Network,
            placed(site, "azurerm_nat_gateway", &name, site.regional(&nat.name, 80))
                .set("sku_name", "Standard")
                .maybe("zones", zones),
        );
        root.add(
            Section::Network,
            Resource::new("azurerm_nat_gateway_public_ip_association", &name)
                .set("nat_gateway_id", gateway.id())
                .set("public_ip_address_id", address.id()),
        );
        let served = site
            .region
            .route_tables
            .iter()
            .filter(|table| table.routes.iter().any(|route| route.via == Via::Nat(nat.name.clone())))
            .flat_map(|table| &table.subnets);
        for subnet in served {
            root.add(
                Section::Network,
                Resource::new("azurerm_subnet_nat_gateway_association", key(subnet))
                    .set("subnet_id", subnet_id(subnet))
                    .set("nat_gateway_id", gateway.id()),
            );
        }
    }
}

/// Ways to the internet go without saying here; ways through a machine do not.
fn routes(site: Site<'_>, root: &mut Root) {
    let Some(machine) = site.router() else { return };
    for table in &site.region.route_tables {
        let name = key(&table.name);
        let reference = root.add(
            Section::Network,
            placed(site, "azurerm_route_table", &name, site.regional(&table.name, 80)),
        );
        let routes = site.mesh_routes(root);
        root.add(
            Section::Network,
            inside("azurerm_route", &name, Expr::new("replace(each.value, \"/\", \"-\")"))
                .set("for_each", routes)
                .set("route_table_name", reference.attr("name"))
                .set("address_prefix", Expr::new("each.value"))
                .set("next_hop_type", "VirtualAppliance")
                .set("next_hop_in_ip_address", machine.address.to_string()),
        );
        for subnet in &table.subnets {
            root.add(
                Section::Network,
                Resource::new("azurerm_subnet_route_table_association", key(subnet))
                    .set("subnet_id", subnet_id(subnet))
                    .set("route_table_id", reference.id()),
            );
        }
    }
}

fn security_group(site: Site<'_>, root: &mut Root, group: &SecurityGroup) {
    let role = group.role.as_str();
    let machines = site.region.group(role).is_some_and(|group| group.host == Host::Machine);
    let enforced = group.rules.iter().any(|rule| rule.enforced);
    if !machines && !enforced {
        // Nothing could be put behind it: a container group with a public address has no network of ours.
        return;
    }
    let reference = root.add(
        Section::Network,
        placed(site, "azurerm_network_security_group", &key(role), site.regional(role, 80)),
    );
    for rule in group.rules.iter().filter(|rule| rule.enforced) {
        let name = format!("{}_{}", key(role), key(&rule.name));
        let sources = rule_sources(site, root, rule);
        root.add(Section::Network, security_rule(sources, &reference, &name, rule));
    }
    if !machines {
        for subnet in site.region.group(role).map(|group| site.subnets_of(group)).unwrap_or_default() {
            root.add(
                Section::Network,
                Resource::new("azurerm_subnet_network_security_group_association", key(&subnet.name))
                    .set("subnet_id", subnet_id(&subnet.name))
                    .set("network_security_group_id", reference.id()),
            );
        }
    }
}

/// The argument that names the sources, and its value.
fn rule_sources(site: Site<'_>, root: &mut Root, rule: &Rule) -> (&'static str, Value) {
    let sources = site.sources(rule);
    let everyone = sources.literal.iter().any(|range| range == "0.0.0.0/0" || range == "::/0");
    if everyone && !sources.mesh {
        return ("source_address_prefix", "Internet".into());
    }
    ("source_address_prefixes", site.source_list(rule, root))
}

fn security_rule((argument, sources): (&str, Value), group: &Ref, name: &str, rule: &Rule) -> Resource {
    let protocol = protocol_word(rule.protocol);
    inside("azurerm_network_security_rule", name, rule.name.as_str())
        .set("network_security_group_name", group.attr("name"))
        .set("priority", rule.priority)
        .set("direction", "Inbound")
        .set("access", "Allow")
        .set("protocol", format!("{}{}", protocol[..1].to_uppercase(), &protocol[1..]))
        .set("source_port_range", "*")
        .set("destination_port_range", rule.port.to_string())
        .set(argument, sources)
        .set("destination_address_prefix", "*")
}

/// The id of a subnet by its name in the plan.
pub(super) fn subnet_id(name: &str) -> Expr {
    Ref::to("azurerm_subnet", key(name)).id()
}
