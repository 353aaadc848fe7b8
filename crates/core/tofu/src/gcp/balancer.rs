//! Passthrough network load balancers.

use univrs_topology::plan::LoadBalancer;
use univrs_topology::spec::Protocol;

use super::labels;
use super::network::healing_port;
use crate::quantity::seconds;
use crate::site::Site;
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

/// Ports a forwarding rule can name; with more of them it passes on all, and the firewall keeps the others out.
const MOST_PORTS: usize = 5;

pub(super) fn emit(site: Site<'_>, root: &mut Root) {
    for balancer in &site.region.load_balancers {
        one(site, root, balancer);
    }
}

/// Local name of a load balancer's resources; machines' addresses share the type and must not collide.
pub(super) fn key_of(balancer: &LoadBalancer) -> String {
    format!("lb_{}", key(&balancer.name))
}

fn one(site: Site<'_>, root: &mut Root, balancer: &LoadBalancer) {
    let name = key_of(balancer);
    let global = site.regional(&balancer.name, 63);
    let address = root.add(
        Section::Services,
        Resource::new("google_compute_address", &name)
            .set("name", global.as_str())
            .set("region", site.region.name.as_str())
            .set("labels", labels(&site.tags())),
    );
    let check = health_check(site, root, balancer);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let ports: Vec<String> = balancer
            .ports
            .iter()
            .filter(|(_, wanted)| *wanted == protocol)
            .map(|(port, _)| port.to_string())
            .collect();
        if ports.is_empty() {
            continue;
        }
        let word = crate::cloud_init::protocol_word(protocol);
        let backends = groups(site, balancer)
            .into_iter()
            .map(|group| Object::new().set("group", group).set("balancing_mode", "CONNECTION"));
        let service = root.add(
            Section::Services,
            Resource::new("google_compute_region_backend_service", format!("{name}_{word}"))
                .set("name", site.regional(&format!("{}-{word}", balancer.name), 63))
                .set("region", site.region.name.as_str())
                .set("load_balancing_scheme", "EXTERNAL")
                .set("protocol", word.to_uppercase())
                .set("health_checks", Value::list([check.id()]))
                .blocks("backend", backends),
        );
        root.add(
            Section::Services,
            Resource::new("google_compute_forwarding_rule", format!("{name}_{word}"))
                .set("name", site.regional(&format!("{}-{word}", balancer.name), 63))
                .set("region", site.region.name.as_str())
                .set("load_balancing_scheme", "EXTERNAL")
                .set("ip_address", address.attr("address"))
                .set("ip_protocol", word.to_uppercase())
                .maybe("ports", (ports.len() <= MOST_PORTS).then(|| Value::list(ports.iter())))
                .maybe("all_ports", (ports.len() > MOST_PORTS).then_some(true))
                .set("backend_service", service.id())
                .set("labels", labels(&site.tags())),
        );
    }
}

fn health_check(site: Site<'_>, root: &mut Root, balancer: &LoadBalancer) -> Ref {
    let health = &balancer.health;
    let port = health.port.or_else(|| balancer.ports.first().map(|(port, _)| *port)).unwrap_or(443);
    let ask = Object::new().set("port", port);
    let (kind, ask) = match &health.path {
        None => ("tcp_health_check", ask),
        Some(path) if crate::balancer::scheme(port) == "https" => {
            ("https_health_check", ask.set("request_path", path))
        }
        Some(path) => ("http_health_check", ask.set("request_path", path)),
    };
    // The timeout may not exceed the interval.
    let interval = seconds(health.interval).max(1);
    root.add(
        Section::Services,
        Resource::new("google_compute_region_health_check", key_of(balancer))
            .set("name", site.regional(&balancer.name, 63))
            .set("region", site.region.name.as_str())
            .set("check_interval_sec", interval)
            .set("timeout_sec", seconds(health.timeout).clamp(1, interval))
            .set("healthy_threshold", health.healthy.clamp(1, 10))
            .set("unhealthy_threshold", health.unhealthy.clamp(1, 10))
            .block(kind, ask),
    )
}

/// The check by which an autoscaled group heals itself: slower than the load balancer's, so that a machine gets no
/// requests before it is replaced.
pub(super) fn healing(site: Site<'_>, root: &mut Root, role: &str) -> Option<Ref> {
    let balancer = site.balancers_of(role).next();
    let port = match balancer {
        Some(balancer) => balancer.health.port.or_else(|| balancer.ports.first().map(|(port, _)| *port)),
        None => healing_port(site, role),
    }?;
    Some(
        root.add(
            Section::Machines,
            Resource::new("google_compute_region_health_check", format!("heal_{}", key(role)))
                .set("name", site.regional(&format!("{role}-heal"), 63))
                .set("region", site.region.name.as_str())
                .set("check_interval_sec", 30_u32)
                .set("timeout_sec", 10_u32)
                .set("healthy_threshold", 1_u32)
                .set("unhealthy_threshold", 5_u32)
                .block("tcp_health_check", Object::new().set("port", port)),
        ),
    )
}

/// The instance groups behind a load balancer.
fn groups(site: Site<'_>, balancer: &LoadBalancer) -> Vec<Expr> {
    let role = balancer.role.as_str();
    let Some(group) = site.region.group(role) else { return Vec::new() };
    let members = site.members(group);
    let mut groups: Vec<Expr> = super::machines::zones_of(&members.single)
        .into_iter()
        .map(|zone| Ref::to("google_compute_instance_group", super::machines::group_key(role, zone)).id())
        .collect();
    if members.scaled.is_some() {
        groups
            .push(Ref::to("google_compute_region_instance_group_manager", key(role)).attr("instance_group"));
    }
    groups
}
