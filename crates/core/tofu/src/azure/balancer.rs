//! Standard load balancers: they pass connections on and end none.

use univrs_topology::plan::LoadBalancer;

use super::placed;
use crate::quantity::seconds;
use crate::site::Site;
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

/// Name of the frontend inside the load balancer.
const FRONTEND: &str = "public";

pub(super) fn emit(site: Site<'_>, root: &mut Root) {
    for balancer in &site.region.load_balancers {
        one(site, root, balancer);
    }
}

/// Local name of a load balancer's resources; machines' addresses share the type and must not collide.
pub(super) fn key_of(balancer: &LoadBalancer) -> String {
    format!("lb_{}", key(&balancer.name))
}

/// The pool a role's machines join, for each load balancer in front of it.
pub(super) fn pools(site: Site<'_>, role: &str) -> Vec<(String, Expr)> {
    site.balancers_of(role)
        .map(|balancer| {
            let name = key_of(balancer);
            let id = Ref::to("azurerm_lb_backend_address_pool", &name).id();
            (name, id)
        })
        .collect()
}

/// The probe that tells whether a machine of the role is well.
pub(super) fn probe(site: Site<'_>, role: &str) -> Option<(Ref, Ref)> {
    let balancer = site.balancers_of(role).next()?;
    let (port, _) = balancer.ports.first()?;
    let name = format!("{}_{port}", key_of(balancer));
    Some((Ref::to("azurerm_lb_probe", &name), Ref::to("azurerm_lb_rule", &name)))
}

fn one(site: Site<'_>, root: &mut Root, balancer: &LoadBalancer) {
    let name = key_of(balancer);
    let address = root.add(
        Section::Services,
        placed(site, "azurerm_public_ip", &name, site.regional(&balancer.name, 80))
            .set("allocation_method", "Static")
            .set("sku", "Standard"),
    );
    let reference = root.add(
        Section::Services,
        placed(site, "azurerm_lb", &name, site.regional(&balancer.name, 80)).set("sku", "Standard").block(
            "frontend_ip_configuration",
            Object::new().set("name", FRONTEND).set("public_ip_address_id", address.id()),
        ),
    );
    let pool = root.add(
        Section::Services,
        Resource::new("azurerm_lb_backend_address_pool", &name)
            .set("loadbalancer_id", reference.id())
            .set("name", balancer.role.as_str()),
    );
    for (port, protocol) in &balancer.ports {
        let local = format!("{name}_{port}");
        let probed = balancer.health.port.unwrap_or(*port);
        let scheme = match &balancer.health.path {
            None => "Tcp",
            Some(_) if crate::balancer::scheme(probed) == "https" => "Https",
            Some(_) => "Http",
        };
        let probe = root.add(
            Section::Services,
            Resource::new("azurerm_lb_probe", &local)
                .set("loadbalancer_id", reference.id())
                .set("name", format!("port-{port}"))
                .set("port", probed)
                .set("protocol", scheme)
                .maybe("request_path", balancer.health.path.as_deref())
                .set("interval_in_seconds", seconds(balancer.health.interval).max(5))
                .set("number_of_probes", balancer.health.unhealthy.max(1))
                .set("probe_threshold", balancer.health.healthy.max(1)),
        );
        let word = match protocol {
            univrs_topology::spec::Protocol::Tcp => "Tcp",
            univrs_topology::spec::Protocol::Udp => "Udp",
        };
        root.add(
            Section::Services,
            Resource::new("azurerm_lb_rule", &local)
                .set("loadbalancer_id", reference.id())
                .set("name", format!("port-{port}"))
                .set("protocol", word)
                .set("frontend_port", *port)
                .set("backend_port", *port)
                .set("frontend_ip_configuration_name", FRONTEND)
                .set("backend_address_pool_ids", Value::list([pool.id()]))
                .set("probe_id", probe.id())
                // Machines reach the internet through their own gateway or address.
                .set("disable_outbound_snat", true),
        );
    }
}
