//! What load balancers have in common at all providers.

use std::collections::BTreeSet;

use univrs_topology::plan::LoadBalancer;

/// Ports of the machines that the load balancer asks whether they are well.
pub(crate) fn probed_ports(balancer: &LoadBalancer) -> BTreeSet<u16> {
    match balancer.health.port {
        Some(port) => BTreeSet::from([port]),
        None => balancer.ports.iter().map(|(port, _)| *port).collect(),
    }
}

/// `https` on the ports where nobody speaks plain HTTP, otherwise `http`.
pub(crate) const fn scheme(port: u16) -> &'static str {
    match port {
        443 | 8443 | 9443 => "https",
        _ => "http",
    }
}
