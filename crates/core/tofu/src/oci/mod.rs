//! Oracle Cloud Infrastructure. The schemas at hand have its networks and machines, and no managed services.

mod machines;
mod network;

use std::collections::BTreeMap;

use univrs_topology::plan::Machine;

use crate::emission::Gaps;
use crate::seeds;
use crate::site::{Site, services_of};
use crate::tf::{Expr, Object, ProviderPin, Ref, Root, Value, Variable, key};

/// The newest version the schemas of the tests stand for.
const PIN: ProviderPin = ProviderPin { name: "oci", source: "oracle/oci", version: "~> 8.28" };

/// Emits one region.
pub(crate) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    configure(root, &site.region.name);
    network::emit(site, root, gaps);
    machines::emit(site, root, gaps);
    for service in services_of(site) {
        gaps.no_service(site, service, "is not emitted for Oracle: the provider's schema was not at hand");
    }
    for balancer in &site.region.load_balancers {
        gaps.add(
            site,
            &balancer.name,
            "load balancers are not emitted for Oracle: the provider's schema was not at hand",
            "let the name point to the machines, or place the role elsewhere",
        );
    }
    root.output("network_id", "The region's network.", Ref::to("oci_core_vcn", "main").id());
    let address =
        |machine: &Machine| Some(Ref::to("oci_core_instance", key(&machine.name)).attr("public_ip"));
    seeds::publish(site, root, address);
    seeds::stated_outputs(site, root, address);
    crate::names::publish(site, root, |_| None, address);
}

/// Requires the provider for a region.
pub(crate) fn configure(root: &mut Root, region: &str) {
    root.provider(PIN, Object::new().set("region", region));
    root.variable(
        "compartment_id",
        Variable { description: "OCID of the compartment everything lies in.", ..Variable::default() },
    );
}

fn compartment() -> Expr {
    Expr::var("compartment_id")
}

/// Free-form tags: any text, but keys without `.` and spaces.
fn tags(tags: &BTreeMap<String, String>) -> Value {
    Value::map(tags.iter().map(|(key, value)| (key.replace(['.', ' '], "-"), value.as_str())))
}
