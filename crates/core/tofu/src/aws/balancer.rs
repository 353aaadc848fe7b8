//! Network load balancers: they pass connections on and end none, so they need no certificate.

use univrs_topology::plan::LoadBalancer;

use super::network::{named, subnet_ids};
use crate::quantity::seconds;
use crate::site::Site;
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, key};

pub(super) fn emit(site: Site<'_>, root: &mut Root) {
    for balancer in &site.region.load_balancers {
        one(site, root, balancer);
    }
}

fn one(site: Site<'_>, root: &mut Root, balancer: &LoadBalancer) {
    let name = key(&balancer.name);
    let reference = root.add(
        Section::Services,
        Resource::new("aws_lb", &name)
            .set("name", site.regional(&balancer.name, 32))
            .set("load_balancer_type", "network")
            .set("internal", false)
            .set("enable_cross_zone_load_balancing", true)
            .set("subnets", subnet_ids(balancer.subnets.iter().map(String::as_str)))
            .set("tags", named(site, &balancer.name)),
    );
    for (port, protocol) in &balancer.ports {
        let protocol = crate::cloud_init::protocol_word(*protocol).to_uppercase();
        let group = root.add(
            Section::Services,
            Resource::new("aws_lb_target_group", format!("{name}_{port}"))
                .set("name", site.regional(&format!("{}-{port}", balancer.name), 32))
                .set("port", *port)
                .set("protocol", protocol.as_str())
                .set("vpc_id", Ref::to("aws_vpc", "main").id())
                .set("deregistration_delay", "30")
                .block("health_check", health(balancer, *port))
                .set("tags", named(site, &balancer.name)),
        );
        root.add(
            Section::Services,
            Resource::new("aws_lb_listener", format!("{name}_{port}"))
                .set("load_balancer_arn", reference.attr("arn"))
                .set("port", *port)
                .set("protocol", protocol.as_str())
                .block(
                    "default_action",
                    Object::new().set("type", "forward").set("target_group_arn", group.attr("arn")),
                ),
        );
    }
}

fn health(balancer: &LoadBalancer, port: u16) -> Object {
    let health = &balancer.health;
    let port = health.port.unwrap_or(port);
    // It asks every 5 to 300 seconds and waits for less; 2 to 10 answers make up its mind.
    let interval = seconds(health.interval).clamp(5, 300);
    let check = Object::new()
        .set("port", port.to_string())
        .set("interval", interval)
        .set("timeout", seconds(health.timeout).clamp(2, 120.min(interval - 1)))
        .set("healthy_threshold", health.healthy.clamp(2, 10))
        .set("unhealthy_threshold", health.unhealthy.clamp(2, 10));
    match &health.path {
        None => check.set("protocol", "TCP"),
        Some(path) => check
            .set("protocol", crate::balancer::scheme(port).to_uppercase())
            .set("path", path)
            .set("matcher", "200-399"),
    }
}

/// The target groups of a role's load balancers.
pub(super) fn target_groups(site: Site<'_>, role: &str) -> Vec<(String, u16, Expr)> {
    site.balancers_of(role)
        .flat_map(|balancer| balancer.ports.iter().map(move |(port, _)| (balancer, *port)))
        .map(|(balancer, port)| {
            let name = format!("{}_{port}", key(&balancer.name));
            let arn = Ref::to("aws_lb_target_group", &name).attr("arn");
            (name, port, arn)
        })
        .collect()
}
