//! Amazon Web Services.

mod balancer;
mod machines;
mod network;
mod services;

use univrs_topology::plan::Machine;

use crate::emission::Gaps;
use crate::seeds;
use crate::site::Site;
use crate::tf::{Expr, Object, ProviderPin, Ref, Root, key};

/// The provider the schemas of the tests belong to.
const PIN: ProviderPin = ProviderPin { name: "aws", source: "hashicorp/aws", version: "6.25.0" };

/// Emits one region.
pub(crate) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    configure(root, &site.region.name, site.region.account.as_deref(), None);
    network::emit(site, root);
    services::emit(site, root, gaps);
    balancer::emit(site, root);
    machines::emit(site, root, gaps);
    outputs(site, root);
}

/// Requires the provider for a region, under an alias where a root needs several regions.
pub(crate) fn configure(root: &mut Root, region: &str, account: Option<&str>, alias: Option<&str>) {
    let configuration = Object::new()
        .set("region", region)
        .maybe("alias", alias)
        .maybe("allowed_account_ids", account.map(|account| crate::tf::Value::list([account])));
    root.provider(PIN, configuration);
}

fn outputs(site: Site<'_>, root: &mut Root) {
    let vpc = Ref::to("aws_vpc", "main");
    root.output("network_id", "The region's network.", vpc.id());
    for table in &site.region.route_tables {
        let table = key(&table.name);
        root.output(
            &format!("route_table_{table}"),
            "A route table of the region.",
            Ref::to("aws_route_table", &table).id(),
        );
    }
    let address = |machine: &Machine| Some(Ref::to("aws_instance", key(&machine.name)).attr("public_ip"));
    seeds::publish(site, root, address);
    seeds::stated_outputs(site, root, address);
    crate::names::publish(site, root, |balancer| Some(balancer_address(&balancer.name)), address);
}

fn balancer_address(name: &str) -> Expr {
    Ref::to("aws_lb", key(name)).attr("dns_name")
}
