//! Hetzner Cloud: networks, servers, firewalls and load balancers. It has no managed databases, caches or keys.

use std::collections::BTreeMap;

use univrs_topology::plan::{Group, LoadBalancer, Machine, SecurityGroup};
use univrs_topology::spec::{Host, Purchase};

use crate::cloud_init::{self, protocol_word};
use crate::emission::Gaps;
use crate::quantity::{gib, seconds};
use crate::seeds;
use crate::site::{Site, services_of};
use crate::tf::{Charset, Expr, Object, ProviderPin, Ref, Resource, Root, Section, Value, fit, key};

const PIN: ProviderPin = ProviderPin { name: "hcloud", source: "hetznercloud/hcloud", version: "~> 1.66" };

/// Servers that a placement group keeps apart.
const GROUP_SIZE: u32 = 10;

/// Emits one location.
pub(crate) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    root.provider(PIN, Object::new());
    network(site, root, gaps);
    for group in &site.region.security_groups {
        firewall(site, root, group);
    }
    machines(site, root, gaps);
    for balancer in &site.region.load_balancers {
        load_balancer(site, root, balancer);
    }
    for service in services_of(site) {
        gaps.no_service(site, service, "Hetzner Cloud has no such service that its provider can make");
    }
    root.output("network_id", "The location's network.", Ref::to("hcloud_network", "main").id());
    let address = |machine: &Machine| Some(Ref::to("hcloud_server", key(&machine.name)).attr("ipv4_address"));
    seeds::publish(site, root, address);
    seeds::stated_outputs(site, root, address);
    let balancer =
        |balancer: &LoadBalancer| Some(Ref::to("hcloud_load_balancer", key(&balancer.name)).attr("ipv4"));
    crate::names::publish(site, root, balancer, address);
}

/// Tags as labels: letters, digits, `-`, `_` and `.`, at most 63 characters.
fn labels(tags: &BTreeMap<String, String>) -> Value {
    let clean = |text: &str| -> String {
        let kept = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let text: String = text.chars().map(kept).take(63).collect();
        text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
    };
    Value::map(tags.iter().map(|(key, value)| (clean(key), clean(value))))
}

/// The part of the world within which a network spans locations.
fn network_zone(location: &str) -> &'static str {
    match location {
        "ash" => "us-east",
        "hil" => "us-west",
        "sin" => "ap-southeast",
        _ => "eu-central",
    }
}

fn network(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    let network = root.add(
        Section::Network,
        Resource::new("hcloud_network", "main")
            .set("name", site.regional("net", 63))
            .set("ip_range", site.region.cidr.to_string())
            .set("labels", labels(&site.tags())),
    );
    for subnet in &site.region.subnets {
        root.add(
            Section::Network,
            Resource::new("hcloud_network_subnet", key(&subnet.name))
                .set("network_id", network.id())
                .set("type", "cloud")
                .set("network_zone", network_zone(&site.region.name))
                .set("ip_range", subnet.cidr.to_string()),
        );
    }
    if let Some(machine) = site.router() {
        let routes = site.mesh_routes(root);
        root.add(
            Section::Network,
            Resource::new("hcloud_network_route", "mesh")
                .set("for_each", routes)
                .set("network_id", network.id())
                .set("destination", Expr::new("each.value"))
                .set("gateway", machine.address.to_string()),
        );
    }
    for nat in &site.region.nat {
        gaps.add(
            site,
            &nat.name,
            "Hetzner Cloud has no NAT gateway: machines without a public address do not reach the internet",
            "set `expose = \"public\"` for the role, or route through a machine of your own",
        );
    }
}

fn firewall(site: Site<'_>, root: &mut Root, group: &SecurityGroup) {
    let role = group.role.as_str();
    let rules: Vec<Object> = group
        .rules
        .iter()
        .map(|rule| {
            Object::new()
                .set("direction", "in")
                .set("protocol", protocol_word(rule.protocol))
                .set("port", rule.port.to_string())
                .set("source_ips", site.source_list(rule, root))
                .set("description", rule.name.as_str())
        })
        .collect();
    root.add(
        Section::Network,
        Resource::new("hcloud_firewall", key(role))
            .set("name", site.regional(role, 63))
            .set("labels", labels(&site.role_tags(role)))
            .blocks("rule", rules),
    );
}

fn machines(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    if site.region.machines.is_empty() {
        return;
    }
    let ssh = site.ssh_key(root);
    root.add(
        Section::Machines,
        Resource::new("hcloud_ssh_key", "main")
            .set("name", site.regional("admin", 63))
            .set("public_key", ssh)
            .set("labels", labels(&site.tags())),
    );
    for group in &site.region.groups {
        if group.host == Host::ContainerGroup {
            gaps.no_container_groups(site, group);
            continue;
        }
        let Some(kind) = gaps.machine_type(site, group) else { continue };
        limits(site, group, gaps);
        for machine in site.all_of(group) {
            server(site, root, group, kind, machine);
        }
    }
}

/// What a group may ask for and Hetzner does not have.
fn limits(site: Site<'_>, group: &Group, gaps: &mut Gaps) {
    let role = group.role.as_str();
    if group.autoscale.is_some() {
        gaps.add(
            site,
            role,
            "its number does not follow the load: Hetzner Cloud has no such groups",
            "change `count`",
        );
    }
    if let Some(disk) = group.disk {
        let why = format!("the disk comes with the machine type; {} GiB are not set apart", gib(disk));
        gaps.add(site, role, &why, "choose a machine type with a disk that large");
    }
    if group.purchase == Purchase::Spot {
        gaps.add(
            site,
            role,
            "Hetzner Cloud sells no interruptible machines",
            "set `purchase = \"on-demand\"`",
        );
    }
}

fn server(site: Site<'_>, root: &mut Root, group: &Group, kind: &str, machine: &Machine) {
    let role = group.role.as_str();
    let apart = machine.index / GROUP_SIZE;
    let placement = root.add(
        Section::Machines,
        Resource::new("hcloud_placement_group", format!("{}_{apart}", key(role)))
            .set("name", site.regional(&format!("{role}-{apart}"), 63))
            .set("type", "spread")
            .set("labels", labels(&site.role_tags(role))),
    );
    let user_data = cloud_init::of_machine(site, root, group, machine);
    let body = Resource::new("hcloud_server", key(&machine.name))
        .set("name", fit(&format!("{}-{}", site.plan.id, machine.name), 63, Charset::Label))
        .set("server_type", kind)
        .set("image", "debian-12")
        .set("location", site.region.name.as_str())
        .set("ssh_keys", Value::list([Ref::to("hcloud_ssh_key", "main").id()]))
        .set("firewall_ids", Value::list([Ref::to("hcloud_firewall", key(role)).id()]))
        .set("placement_group_id", placement.id())
        .set("user_data", user_data)
        .set("labels", labels(&site.role_tags(role)))
        .block(
            "network",
            Object::new()
                .set("network_id", Ref::to("hcloud_network", "main").id())
                .set("ip", machine.address.to_string())
                .set("alias_ips", Value::List(Vec::new())),
        )
        .block(
            "public_net",
            Object::new().set("ipv4_enabled", machine.public_ip).set("ipv6_enabled", machine.public_ip),
        )
        // The address lies in a subnet, which must be there first.
        .after(&Ref::to("hcloud_network_subnet", key(&machine.subnet)))
        .ignore_changes(&["image", "user_data", "ssh_keys"]);
    root.add(Section::Machines, body);
}

fn load_balancer(site: Site<'_>, root: &mut Root, balancer: &LoadBalancer) {
    let name = key(&balancer.name);
    let reference = root.add(
        Section::Services,
        Resource::new("hcloud_load_balancer", &name)
            .set("name", site.regional(&balancer.name, 63))
            .set("load_balancer_type", "lb11")
            .set("location", site.region.name.as_str())
            .set("labels", labels(&site.tags())),
    );
    let attachment =
        Resource::new("hcloud_load_balancer_network", &name).set("load_balancer_id", reference.id());
    // One or the other says where.
    let attachment = match balancer.subnets.first() {
        Some(subnet) => attachment.set("subnet_id", Ref::to("hcloud_network_subnet", key(subnet)).id()),
        None => attachment.set("network_id", Ref::to("hcloud_network", "main").id()),
    };
    let attached = root.add(Section::Services, attachment);
    for machine in &balancer.machines {
        root.add(
            Section::Services,
            Resource::new("hcloud_load_balancer_target", format!("{name}_{}", key(machine)))
                .set("type", "server")
                .set("load_balancer_id", reference.id())
                .set("server_id", Ref::to("hcloud_server", key(machine)).id())
                .set("use_private_ip", true)
                // Private targets need the load balancer inside the network.
                .after(&attached),
        );
    }
    for (port, _) in &balancer.ports {
        let probed = balancer.health.port.unwrap_or(*port);
        let check = Object::new()
            .set("port", probed)
            .set("interval", seconds(balancer.health.interval).clamp(3, 60))
            .set("timeout", seconds(balancer.health.timeout).clamp(1, 60))
            .set("retries", balancer.health.unhealthy.clamp(1, 5));
        let check = match &balancer.health.path {
            None => check.set("protocol", "tcp"),
            Some(path) => check.set("protocol", "http").block(
                "http",
                Object::new().set("path", path).set("tls", crate::balancer::scheme(probed) == "https"),
            ),
        };
        root.add(
            Section::Services,
            Resource::new("hcloud_load_balancer_service", format!("{name}_{port}"))
                .set("load_balancer_id", reference.id())
                .set("protocol", "tcp")
                .set("listen_port", *port)
                .set("destination_port", *port)
                .block("health_check", check),
        );
    }
}
