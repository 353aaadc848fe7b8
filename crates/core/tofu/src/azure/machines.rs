//! Single machines and scale sets.

use univrs_topology::catalogue::Arch;
use univrs_topology::plan::{Group, Machine};
use univrs_topology::spec::{Host, Purchase, ServiceKind};

use super::network::subnet_id;
use super::{balancer, containers, label, placed, zone};
use crate::cloud_init;
use crate::emission::Gaps;
use crate::quantity::gib;
use crate::site::{Scaled, Site, services_of};
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

/// Who looks after the machines.
const ADMIN: &str = "univrs";
/// Machines that one placement group of a scale set holds.
const MOST_TOGETHER: u32 = 100;

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    identity(site, root);
    for group in &site.region.groups {
        if group.host == Host::ContainerGroup {
            containers::emit(site, root, group);
            continue;
        }
        let Some(kind) = gaps.machine_type(site, group) else { continue };
        let members = site.members(group);
        for machine in members.single {
            single(site, root, group, kind, machine);
        }
        if let Some(scaled) = members.scaled {
            scale_set(site, root, group, kind, scaled);
        }
    }
}

/// What the machines may do: use the region's storage and keys.
fn identity(site: Site<'_>, root: &mut Root) {
    if !site.region.groups.iter().any(|group| group.host == Host::Machine) {
        return;
    }
    let identity = root.add(
        Section::Machines,
        placed(site, "azurerm_user_assigned_identity", "machine", site.regional("machine", 128)),
    );
    for service in services_of(site) {
        let name = key(&service.name);
        let (role, scope) = match service.kind {
            ServiceKind::ObjectStorage => {
                ("Storage Blob Data Contributor", Ref::to("azurerm_storage_account", &name).id())
            }
            ServiceKind::Keys => ("Key Vault Crypto User", Ref::to("azurerm_key_vault", &name).id()),
            ServiceKind::Postgres | ServiceKind::Redis | ServiceKind::LoadBalancer | ServiceKind::Logs => {
                continue;
            }
        };
        root.add(
            Section::Machines,
            Resource::new("azurerm_role_assignment", format!("machine_{name}"))
                .set("scope", scope)
                .set("role_definition_name", role)
                .set("principal_id", identity.attr("principal_id")),
        );
    }
}

fn single(site: Site<'_>, root: &mut Root, group: &Group, kind: &str, machine: &Machine) {
    let name = key(&machine.name);
    let full = site.name(&machine.name, 64);
    let zone = zone(site, &machine.zone);
    let public = machine.public_ip.then(|| {
        root.add(
            Section::Machines,
            placed(site, "azurerm_public_ip", &name, full.as_str())
                .set("allocation_method", "Static")
                .set("sku", "Standard")
                .maybe("domain_name_label", machine.dns_name.as_deref().map(label))
                .maybe("zones", zone.map(|zone| Value::list([zone]))),
        )
    });
    let interface = root.add(
        Section::Machines,
        placed(site, "azurerm_network_interface", &name, full.as_str())
            .set("ip_forwarding_enabled", site.is_router(machine))
            .block(
                "ip_configuration",
                Object::new()
                    .set("name", "main")
                    .set("subnet_id", subnet_id(&machine.subnet))
                    .set("private_ip_address_allocation", "Static")
                    .set("private_ip_address", machine.address.to_string())
                    .maybe("public_ip_address_id", public.map(|address| address.id())),
            ),
    );
    root.add(
        Section::Machines,
        Resource::new("azurerm_network_interface_security_group_association", &name)
            .set("network_interface_id", interface.id())
            .set("network_security_group_id", security_group(group)),
    );
    for (pool, id) in balancer::pools(site, group.role.as_str()) {
        root.add(
            Section::Machines,
            Resource::new(
                "azurerm_network_interface_backend_address_pool_association",
                format!("{pool}_{name}"),
            )
            .set("network_interface_id", interface.id())
            .set("ip_configuration_name", "main")
            .set("backend_address_pool_id", id),
        );
    }
    let data = cloud_init::of_machine(site, root, group, machine);
    let data = root.local(Section::Machines, &format!("user_data_{name}"), data);
    let body = placed(site, "azurerm_linux_virtual_machine", &name, full)
        .set("computer_name", crate::tf::fit(&machine.name, 63, crate::tf::Charset::Label))
        .set("size", kind)
        .set("network_interface_ids", Value::list([interface.id()]))
        .maybe("zone", zone);
    let body = dressed(site, root, group, body, &data)
        .block("os_disk", disk(group))
        .set("tags", site.role_tags(group.role.as_str()))
        // A rotated token is no reason to replace a machine that holds state.
        .ignore_changes(&["custom_data"]);
    root.add(Section::Machines, body);
}

fn scale_set(site: Site<'_>, root: &mut Root, group: &Group, kind: &str, scaled: Scaled) {
    let role = group.role.as_str();
    let name = key(role);
    let pools: Vec<Expr> = balancer::pools(site, role).into_iter().map(|(_, id)| id).collect();
    let Some(subnet) = site.subnets_of(group).into_iter().next() else { return };
    let mut address = Object::new()
        .set("name", "main")
        .set("primary", true)
        .set("subnet_id", subnet_id(&subnet.name))
        .set("load_balancer_backend_address_pool_ids", Value::list(pools));
    if group.public_ip {
        address = address.block("public_ip_address", Object::new().set("name", "main"));
    }
    let interface = Object::new()
        .set("name", "main")
        .set("primary", true)
        .set("network_security_group_id", security_group(group))
        .block("ip_configuration", address);
    let data = cloud_init::of_group(site, root, group);
    let data = root.local(Section::Machines, &format!("user_data_{name}"), data);
    let zones: Vec<&str> = site.region.zones.iter().filter_map(|known| zone(site, known)).collect();
    let mut body = placed(site, "azurerm_linux_virtual_machine_scale_set", &name, site.regional(role, 64))
        .set("computer_name_prefix", crate::tf::fit(role, 50, crate::tf::Charset::Label))
        .set("sku", kind)
        .set("instances", scaled.now)
        .set("upgrade_mode", "Manual")
        .set("overprovision", false)
        .set("single_placement_group", scaled.most <= MOST_TOGETHER);
    if !zones.is_empty() {
        body = body.set("zones", Value::list(zones)).set("zone_balance", true);
    }
    if let Some((probe, rule)) = balancer::probe(site, role) {
        body = body
            .set("health_probe_id", probe.id())
            .block(
                "automatic_instance_repair",
                Object::new().set("enabled", true).set("grace_period", "PT10M"),
            )
            // The set may name a probe only once a rule uses it.
            .after(&rule);
    }
    let set = dressed(site, root, group, body, &data)
        .block("os_disk", disk(group))
        .block("network_interface", interface)
        .set("tags", site.role_tags(role))
        // The setting below moves it.
        .ignore_changes(&["instances"]);
    let set = root.add(Section::Machines, set);
    autoscale(site, root, role, &set, scaled);
}

fn autoscale(site: Site<'_>, root: &mut Root, role: &str, set: &Ref, scaled: Scaled) {
    let rule = |direction: &str, operator: &str, threshold: f64| {
        Object::new()
            .block(
                "metric_trigger",
                Object::new()
                    .set("metric_name", "Percentage CPU")
                    .set("metric_resource_id", set.id())
                    .set("operator", operator)
                    .set("statistic", "Average")
                    .set("threshold", threshold)
                    .set("time_aggregation", "Average")
                    .set("time_grain", "PT1M")
                    .set("time_window", "PT5M"),
            )
            .block(
                "scale_action",
                Object::new()
                    .set("direction", direction)
                    .set("type", "ChangeCount")
                    .set("value", 1_u32)
                    .set("cooldown", "PT5M"),
            )
    };
    let target = (scaled.target_cpu * 100.0).round();
    let profile = Object::new()
        .set("name", "load")
        .block(
            "capacity",
            Object::new().set("default", scaled.now).set("minimum", scaled.least).set("maximum", scaled.most),
        )
        .block("rule", rule("Increase", "GreaterThan", target))
        // Half of the target leaves room, so that taking one away does not call for it again.
        .block("rule", rule("Decrease", "LessThan", (target / 2.0).round()));
    root.add(
        Section::Machines,
        placed(site, "azurerm_monitor_autoscale_setting", &key(role), site.regional(role, 80))
            .set("target_resource_id", set.id())
            .block("profile", profile),
    );
}

/// What single machines and scale sets say alike.
fn dressed(site: Site<'_>, root: &mut Root, group: &Group, body: Resource, data: &Expr) -> Resource {
    let ssh = site.ssh_key(root);
    let sku = if group.arch == Some(Arch::Arm64) { "12-arm64" } else { "12-gen2" };
    let identity = Ref::to("azurerm_user_assigned_identity", "machine").id();
    let body = body
        .set("admin_username", ADMIN)
        .set("disable_password_authentication", true)
        .set("custom_data", Expr::new(format!("base64encode({})", data.text())))
        .block("admin_ssh_key", Object::new().set("username", ADMIN).set("public_key", ssh))
        .block(
            "source_image_reference",
            Object::new()
                .set("publisher", "Debian")
                .set("offer", "debian-12")
                .set("sku", sku)
                .set("version", "latest"),
        )
        .block(
            "identity",
            Object::new().set("type", "UserAssigned").set("identity_ids", Value::list([identity])),
        );
    if group.purchase == Purchase::Spot {
        return body.set("priority", "Spot").set("eviction_policy", "Delete");
    }
    body
}

fn disk(group: &Group) -> Object {
    Object::new()
        .set("caching", "ReadWrite")
        // Every size takes it; premium disks want sizes made for them.
        .set("storage_account_type", "StandardSSD_LRS")
        // The image itself has 30 GiB.
        .maybe("disk_size_gb", group.disk.map(|size| gib(size).max(30)))
}

fn security_group(group: &Group) -> Expr {
    Ref::to("azurerm_network_security_group", key(group.role.as_str())).id()
}
