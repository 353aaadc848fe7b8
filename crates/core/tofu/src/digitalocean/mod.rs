//! DigitalOcean: one network for each region without subnets, droplets, firewalls, load balancers, databases, buckets.

mod services;

use std::collections::BTreeMap;

use univrs_topology::plan::{Group, LoadBalancer, Machine, SecurityGroup};
use univrs_topology::spec::{Host, Protocol, Purchase};

use crate::cloud_init::{self, protocol_word};
use crate::emission::Gaps;
use crate::quantity::{gib, seconds};
use crate::seeds;
use crate::site::{Scaled, Site};
use crate::tf::{Charset, Object, ProviderPin, Ref, Resource, Root, Section, Value, fit, key};

const PIN: ProviderPin =
    ProviderPin { name: "digitalocean", source: "digitalocean/digitalocean", version: "2.71.0" };

const IMAGE: &str = "debian-12-x64";

/// Emits one region.
pub(crate) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    configure(root);
    root.add(
        Section::Network,
        Resource::new("digitalocean_vpc", "main")
            .set("name", site.regional("net", 255))
            .set("region", site.region.name.as_str())
            .set("ip_range", site.region.cidr.to_string()),
    );
    for group in &site.region.security_groups {
        firewall(site, root, group);
    }
    machines(site, root, gaps);
    for balancer in &site.region.load_balancers {
        load_balancer(site, root, balancer);
    }
    services::emit(site, root, gaps);
    root.output("network_id", "The region's network.", Ref::to("digitalocean_vpc", "main").id());
    let address =
        |machine: &Machine| Some(Ref::to("digitalocean_droplet", key(&machine.name)).attr("ipv4_address"));
    seeds::publish(site, root, address);
    seeds::stated_outputs(site, root, address);
    let balancer =
        |balancer: &LoadBalancer| Some(Ref::to("digitalocean_loadbalancer", key(&balancer.name)).attr("ip"));
    crate::names::publish(site, root, balancer, address);
}

/// Requires the provider.
pub(crate) fn configure(root: &mut Root) {
    root.provider(PIN, Object::new());
}

/// Tags as `key:value`: letters, digits, `:`, `-` and `_`.
fn tags(tags: &BTreeMap<String, String>) -> Value {
    let clean = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
            .collect()
    };
    Value::list(tags.iter().map(|(key, value)| format!("{}:{}", clean(key), clean(value))))
}

/// The tag of a role's droplets, which firewalls and load balancers go by.
fn role_tag(role: &str) -> Ref {
    Ref::to("digitalocean_tag", key(role))
}

fn firewall(site: Site<'_>, root: &mut Root, group: &SecurityGroup) {
    let role = group.role.as_str();
    let tag = root.add(
        Section::Network,
        Resource::new("digitalocean_tag", key(role)).set("name", site.regional(role, 255)),
    );
    let mut rules: Vec<Object> = group
        .rules
        .iter()
        .map(|rule| {
            Object::new()
                .set("protocol", protocol_word(rule.protocol))
                .set("port_range", rule.port.to_string())
                .set("source_addresses", site.source_list(rule, root))
        })
        .collect();
    for balancer in site.balancers_of(role) {
        for port in crate::balancer::probed_ports(balancer) {
            rules.push(Object::new().set("protocol", "tcp").set("port_range", port.to_string()).set(
                "source_load_balancer_uids",
                Value::list([Ref::to("digitalocean_loadbalancer", key(&balancer.name)).id()]),
            ));
        }
    }
    let everywhere = || Value::list(["0.0.0.0/0", "::/0"]);
    let out = ["tcp", "udp"].map(|protocol| {
        Object::new()
            .set("protocol", protocol)
            .set("port_range", "1-65535")
            .set("destination_addresses", everywhere())
    });
    root.add(
        Section::Network,
        Resource::new("digitalocean_firewall", key(role))
            .set("name", site.regional(role, 255))
            .set("tags", Value::list([tag.attr("name")]))
            .blocks("inbound_rule", rules)
            .blocks("outbound_rule", out)
            .block(
                "outbound_rule",
                Object::new().set("protocol", "icmp").set("destination_addresses", everywhere()),
            ),
    );
}

fn machines(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    if site.region.machines.is_empty() {
        return;
    }
    gaps.add(
        site,
        "addresses",
        "droplets get their private addresses from DigitalOcean, not those of the plan",
        "read them with `tofu output`, or use names",
    );
    let ssh = site.ssh_key(root);
    root.add(
        Section::Machines,
        Resource::new("digitalocean_ssh_key", "main")
            .set("name", site.regional("admin", 255))
            .set("public_key", ssh),
    );
    for group in &site.region.groups {
        if group.host == Host::ContainerGroup {
            gaps.no_container_groups(site, group);
            continue;
        }
        let Some(kind) = gaps.machine_type(site, group) else { continue };
        limits(site, group, gaps);
        let members = site.members(group);
        for machine in members.single {
            droplet(site, root, group, kind, machine);
        }
        if let Some(scaled) = members.scaled {
            autoscaled(site, root, group, kind, scaled);
        }
    }
}

/// What a group may ask for and DigitalOcean does not have.
fn limits(site: Site<'_>, group: &Group, gaps: &mut Gaps) {
    let role = group.role.as_str();
    if let Some(disk) = group.disk {
        let why = format!("the disk comes with the machine type; {} GiB are not set apart", gib(disk));
        gaps.add(site, role, &why, "choose a machine type with a disk that large");
    }
    if group.purchase == Purchase::Spot {
        gaps.add(
            site,
            role,
            "DigitalOcean sells no interruptible machines",
            "set `purchase = \"on-demand\"`",
        );
    }
    if !group.public_ip {
        gaps.add(
            site,
            role,
            "every droplet has a public address",
            "the firewall keeps everybody out but those the rules let in",
        );
    }
    if site.router().is_some_and(|router| router.role == group.role) {
        gaps.add(
            site,
            role,
            "routes through a droplet are not emitted: the network has no routes of its own",
            "add them on the machines",
        );
    }
}

fn droplet(site: Site<'_>, root: &mut Root, group: &Group, kind: &str, machine: &Machine) {
    let role = group.role.as_str();
    let user_data = cloud_init::of_machine(site, root, group, machine);
    let body = Resource::new("digitalocean_droplet", key(&machine.name))
        .set("name", fit(&format!("{}-{}", site.plan.id, machine.name), 63, Charset::Label))
        .set("region", site.region.name.as_str())
        .set("size", kind)
        .set("image", IMAGE)
        .set("vpc_uuid", Ref::to("digitalocean_vpc", "main").id())
        .set("ssh_keys", Value::list([Ref::to("digitalocean_ssh_key", "main").id()]))
        .set("monitoring", true)
        .set("ipv6", true)
        .set("user_data", user_data)
        .set("tags", all_tags(site, role))
        .ignore_changes(&["image", "user_data", "ssh_keys"]);
    root.add(Section::Machines, body);
}

fn all_tags(site: Site<'_>, role: &str) -> Value {
    match tags(&site.role_tags(role)) {
        Value::List(mut list) => {
            list.push(role_tag(role).attr("name").into());
            Value::List(list)
        }
        other => other,
    }
}

fn autoscaled(site: Site<'_>, root: &mut Root, group: &Group, kind: &str, scaled: Scaled) {
    let role = group.role.as_str();
    let user_data = cloud_init::of_group(site, root, group);
    let config = Object::new()
        .set("min_instances", scaled.least.max(1))
        .set("max_instances", scaled.most.max(1))
        .set("target_cpu_utilization", scaled.target_cpu)
        .set("cooldown_minutes", 5_u32);
    let template = Object::new()
        .set("region", site.region.name.as_str())
        .set("size", kind)
        .set("image", IMAGE)
        .set("vpc_uuid", Ref::to("digitalocean_vpc", "main").id())
        .set("ssh_keys", Value::list([Ref::to("digitalocean_ssh_key", "main").id()]))
        .set("with_droplet_agent", true)
        .set("ipv6", true)
        .set("user_data", user_data)
        .set("tags", all_tags(site, role));
    root.add(
        Section::Machines,
        Resource::new("digitalocean_droplet_autoscale", key(role))
            .set("name", site.regional(role, 255))
            .block("config", config)
            .block("droplet_template", template),
    );
}

fn load_balancer(site: Site<'_>, root: &mut Root, balancer: &LoadBalancer) {
    let rules = balancer.ports.iter().map(|(port, protocol)| {
        let word = if *protocol == Protocol::Tcp { "tcp" } else { "udp" };
        Object::new()
            .set("entry_port", *port)
            .set("entry_protocol", word)
            .set("target_port", *port)
            .set("target_protocol", word)
    });
    let probed =
        balancer.health.port.or_else(|| balancer.ports.first().map(|(port, _)| *port)).unwrap_or(443);
    let check = Object::new()
        .set("port", probed)
        .set("check_interval_seconds", seconds(balancer.health.interval).clamp(3, 300))
        .set("response_timeout_seconds", seconds(balancer.health.timeout).clamp(3, 300))
        .set("unhealthy_threshold", balancer.health.unhealthy.clamp(2, 10))
        .set("healthy_threshold", balancer.health.healthy.clamp(2, 10));
    let check = match &balancer.health.path {
        None => check.set("protocol", "tcp"),
        Some(path) => check.set("protocol", crate::balancer::scheme(probed)).set("path", path),
    };
    root.add(
        Section::Services,
        Resource::new("digitalocean_loadbalancer", key(&balancer.name))
            .set("name", site.regional(&balancer.name, 255))
            .set("region", site.region.name.as_str())
            .set("vpc_uuid", Ref::to("digitalocean_vpc", "main").id())
            .set("droplet_tag", role_tag(balancer.role.as_str()).attr("name"))
            .blocks("forwarding_rule", rules)
            .block("healthcheck", check),
    );
}
