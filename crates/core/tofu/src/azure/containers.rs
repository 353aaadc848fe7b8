//! Container groups: one for each member of a role.

use univrs_topology::plan::{Container, Group, Machine, ServiceInstance};
use univrs_topology::spec::{Persistence, ServiceKind};

use super::network::subnet_id;
use super::{label, placed};
use crate::cloud_init::protocol_word;
use crate::quantity::{cores, gib_decimal};
use crate::site::{Site, services_of};
use crate::tf::{Object, Ref, Resource, Root, Section, Value, key};

/// Where a container finds what must outlive it.
const DATA_PATH: &str = "/data";
/// Size of a file share, in GiB.
const SHARE_GIB: u32 = 100;

pub(super) fn emit(site: Site<'_>, root: &mut Root, group: &Group) {
    let Some(container) = &group.container else { return };
    for machine in site.members(group).single {
        let share = share(site, root, group, machine);
        root.add(Section::Machines, one(site, group, container, machine, share));
    }
}

fn one(
    site: Site<'_>,
    group: &Group,
    container: &Container,
    machine: &Machine,
    share: Option<Object>,
) -> Resource {
    let restart = match container.restart.as_str() {
        "never" => "Never",
        "on-failure" => "OnFailure",
        _ => "Always",
    };
    let port = |(port, protocol): &(u16, _)| {
        Object::new().set("port", *port).set("protocol", protocol_word(*protocol).to_uppercase())
    };
    let inner = Object::new()
        .set("name", crate::tf::fit(group.role.as_str(), 63, crate::tf::Charset::Label))
        .set("image", container.image.as_str())
        .set("cpu", cores(container.cpu))
        .set("memory", gib_decimal(container.memory))
        .set("environment_variables", machine.env.clone())
        .blocks("ports", container.ports.iter().map(port))
        .blocks("volume", share);
    let inner = if container.command.is_empty() {
        inner
    } else {
        inner.set("commands", Value::list(container.command.iter()))
    };
    let body = placed(site, "azurerm_container_group", &key(&machine.name), site.name(&machine.name, 63))
        .set("os_type", "Linux")
        .set("restart_policy", restart)
        .set("tags", site.role_tags(group.role.as_str()))
        .block("container", inner);
    // Azure gives a container group a public address or a place in a subnet, never both.
    if machine.public_ip {
        body.set("ip_address_type", "Public").maybe("dns_name_label", machine.dns_name.as_deref().map(label))
    } else {
        body.set("ip_address_type", "Private").set("subnet_ids", Value::list([subnet_id(&machine.subnet)]))
    }
}

/// A file share of the member's own, mounted, when its data must outlive it and there is an account to hold it.
fn share(site: Site<'_>, root: &mut Root, group: &Group, machine: &Machine) -> Option<Object> {
    let storage: &ServiceInstance = (group.persistence == Persistence::Files)
        .then(|| services_of(site).find(|service| service.kind == ServiceKind::ObjectStorage))
        .flatten()?;
    let account = Ref::to("azurerm_storage_account", key(&storage.name));
    let share = root.add(
        Section::Machines,
        Resource::new("azurerm_storage_share", key(&machine.name))
            .set("name", crate::tf::fit(&machine.name, 63, crate::tf::Charset::Label))
            .set("storage_account_id", account.id())
            .set("quota", SHARE_GIB),
    );
    Some(
        Object::new()
            .set("name", "data")
            .set("mount_path", DATA_PATH)
            .set("share_name", share.attr("name"))
            .set("storage_account_name", account.attr("name"))
            .set("storage_account_key", account.attr("primary_access_key")),
    )
}
