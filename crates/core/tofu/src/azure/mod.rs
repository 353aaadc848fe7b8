//! Microsoft Azure.

mod balancer;
mod containers;
mod machines;
mod network;
mod services;
mod storage;

use univrs_topology::plan::Machine;
use univrs_topology::spec::Host;

use crate::emission::Gaps;
use crate::seeds;
use crate::site::Site;
use crate::tf::{Charset, Expr, Object, ProviderPin, Ref, Resource, Root, Section, Value, fit, key};

const PIN: ProviderPin = ProviderPin { name: "azurerm", source: "hashicorp/azurerm", version: "4.55.0" };

/// Emits one region.
pub(crate) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    configure(root, site.region.account.as_deref());
    root.add(
        Section::Network,
        Resource::new("azurerm_resource_group", "main")
            .set("name", group_name(site))
            .set("location", site.region.name.as_str())
            .set("tags", site.tags()),
    );
    network::emit(site, root);
    balancer::emit(site, root);
    services::emit(site, root, gaps);
    machines::emit(site, root, gaps);
    outputs(site, root);
}

/// Requires the provider.
pub(crate) fn configure(root: &mut Root, subscription: Option<&str>) {
    root.provider(PIN, Object::new().block("features", Object::new()).maybe("subscription_id", subscription));
}

/// The region's resource group: the file's own name for it, or one made from the topology's id.
pub(crate) fn group_name(site: Site<'_>) -> String {
    site.region.names.get("resource_group").cloned().unwrap_or_else(|| site.regional("rg", 90))
}

/// A resource in the region's group under a name, with tags.
fn placed(site: Site<'_>, kind: &str, local_name: &str, name: impl Into<Value>) -> Resource {
    inside(kind, local_name, name).set("location", site.region.name.as_str()).set("tags", site.tags())
}

/// A resource in the region's group, of a kind that has neither place nor tags.
fn inside(kind: &str, local_name: &str, name: impl Into<Value>) -> Resource {
    Resource::new(kind, local_name)
        .set("name", name)
        .set("resource_group_name", Ref::to("azurerm_resource_group", "main").attr("name"))
}

/// A name all subscriptions share: a digest of the subscription makes it ours.
fn global_name(site: Site<'_>, root: &mut Root, thing: &str, longest: usize, charset: Charset) -> Value {
    let subscription = client(root).attr("subscription_id");
    let digest = Expr::new(format!("substr(sha256({}), 0, 6)", subscription.text()));
    let stem = fit(&format!("{}-{thing}", site.plan.id), longest - 7, charset);
    let dash = if charset == Charset::Label { "-" } else { "" };
    Value::join([format!("{stem}{dash}").into(), digest.into()])
}

/// Who runs OpenTofu.
fn client(root: &mut Root) -> Ref {
    root.add(Section::Services, Resource::data("azurerm_client_config", "current"))
}

/// The zone of a machine, where the region has several.
fn zone<'a>(site: Site<'_>, zone: &'a str) -> Option<&'a str> {
    let number = zone.rsplit('-').next().unwrap_or(zone);
    (site.region.zones.len() > 1 && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

/// The part of a machine's public name that we choose: its first label.
fn label(dns_name: &str) -> &str {
    dns_name.split('.').next().unwrap_or(dns_name)
}

fn outputs(site: Site<'_>, root: &mut Root) {
    root.output("network_id", "The region's network.", Ref::to("azurerm_virtual_network", "main").id());
    root.output("network_name", "Its name.", Ref::to("azurerm_virtual_network", "main").attr("name"));
    root.output(
        "resource_group",
        "The region's resource group.",
        Ref::to("azurerm_resource_group", "main").attr("name"),
    );
    let address = |machine: &Machine| {
        let container = site.group_of(machine)?.host == Host::ContainerGroup;
        let kind = if container { "azurerm_container_group" } else { "azurerm_public_ip" };
        Some(Ref::to(kind, key(&machine.name)).attr("ip_address"))
    };
    seeds::publish(site, root, address);
    seeds::stated_outputs(site, root, address);
    crate::names::publish(
        site,
        root,
        |balancer| Some(Ref::to("azurerm_public_ip", balancer::key_of(balancer)).attr("ip_address")),
        address,
    );
}
