//! Single machines and managed instance groups.

use std::collections::BTreeSet;

use univrs_topology::catalogue::Arch;
use univrs_topology::plan::{Group, Machine};
use univrs_topology::spec::{Host, Purchase, ServiceKind};

use super::network::role_tag;
use super::{balancer, labels, project};
use crate::cloud_init;
use crate::emission::Gaps;
use crate::quantity::gib;
use crate::site::{Scaled, Site, services_of};
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    if site.region.machines.is_empty() {
        return;
    }
    identity(site, root);
    for group in &site.region.groups {
        if group.host == Host::ContainerGroup {
            gaps.no_container_groups(site, group);
            continue;
        }
        let Some(kind) = gaps.machine_type(site, group) else { continue };
        let members = site.members(group);
        for machine in &members.single {
            single(site, root, group, kind, machine);
        }
        if site.balancers_of(group.role.as_str()).next().is_some() {
            for zone in zones_of(&members.single) {
                unmanaged_group(site, root, group, zone, &members.single);
            }
        }
        if let Some(scaled) = members.scaled {
            managed_group(site, root, group, kind, scaled);
        }
    }
}

/// Zones in which the machines lie.
pub(super) fn zones_of<'a>(machines: &[&'a Machine]) -> BTreeSet<&'a str> {
    machines.iter().map(|machine| machine.zone.as_str()).collect()
}

/// Local name of the group of a role's single machines in a zone.
pub(super) fn group_key(role: &str, zone: &str) -> String {
    format!("{}_{}", key(role), key(zone))
}

/// Who the machines are, and what they may do: write logs, use the region's buckets and keys.
fn identity(site: Site<'_>, root: &mut Root) {
    let account = root.add(
        Section::Machines,
        Resource::new("google_service_account", "machine")
            .set("account_id", site.regional("vm", 30))
            .set("display_name", format!("Machines of {} in {}", site.plan.id, site.region.name)),
    );
    let member = Value::join(["serviceAccount:".into(), account.attr("email").into()]);
    let mut logging = false;
    for service in services_of(site) {
        let name = key(&service.name);
        match service.kind {
            ServiceKind::ObjectStorage => {
                root.add(
                    Section::Machines,
                    Resource::new("google_storage_bucket_iam_member", &name)
                        .set("bucket", Ref::to("google_storage_bucket", &name).attr("name"))
                        .set("role", "roles/storage.objectUser")
                        .set("member", member.clone()),
                );
            }
            ServiceKind::Keys => {
                root.add(
                    Section::Machines,
                    Resource::new("google_kms_crypto_key_iam_member", format!("machine_{name}"))
                        .set("crypto_key_id", Ref::to("google_kms_crypto_key", &name).id())
                        .set("role", "roles/cloudkms.cryptoKeyEncrypterDecrypter")
                        .set("member", member.clone()),
                );
            }
            ServiceKind::Logs => logging = true,
            ServiceKind::Postgres | ServiceKind::Redis | ServiceKind::LoadBalancer => {}
        }
    }
    if logging {
        root.add(
            Section::Machines,
            Resource::new("google_project_iam_member", "machine_logs")
                .set("project", project())
                .set("role", "roles/logging.logWriter")
                .set("member", member),
        );
    }
}

fn image(group: &Group) -> &'static str {
    if group.arch == Some(Arch::Arm64) { "debian-cloud/debian-12-arm64" } else { "debian-cloud/debian-12" }
}

fn metadata(site: Site<'_>, root: &mut Root, user_data: Value) -> Object {
    let ssh = site.ssh_key(root);
    Object::new()
        .set("user-data", user_data)
        .set("ssh-keys", Value::join(["univrs:".into(), ssh.into()]))
        .set("block-project-ssh-keys", "true")
}

fn scheduling(group: &Group) -> Option<Object> {
    (group.purchase == Purchase::Spot).then(|| {
        Object::new()
            .set("preemptible", true)
            .set("automatic_restart", false)
            .set("provisioning_model", "SPOT")
            .set("instance_termination_action", "STOP")
    })
}

fn account() -> Object {
    Object::new()
        .set("email", Ref::to("google_service_account", "machine").attr("email"))
        .set("scopes", Value::list(["cloud-platform"]))
}

fn shielded() -> Object {
    Object::new()
        .set("enable_secure_boot", true)
        .set("enable_vtpm", true)
        .set("enable_integrity_monitoring", true)
}

fn single(site: Site<'_>, root: &mut Root, group: &Group, kind: &str, machine: &Machine) {
    let name = key(&machine.name);
    let full = site.name(&machine.name, 63);
    let access = machine.public_ip.then(|| {
        let address = root.add(
            Section::Machines,
            Resource::new("google_compute_address", &name)
                .set("name", full.as_str())
                .set("region", site.region.name.as_str())
                .set("labels", labels(&site.tags())),
        );
        Object::new().set("nat_ip", address.attr("address"))
    });
    let interface = Object::new()
        .set("subnetwork", Ref::to("google_compute_subnetwork", key(&machine.subnet)).id())
        .set("network_ip", machine.address.to_string())
        .blocks("access_config", access);
    let disk = Object::new()
        .set("image", image(group))
        .set("type", "pd-balanced")
        .maybe("size", group.disk.map(|size| gib(size).max(10)));
    let user_data = cloud_init::of_machine(site, root, group, machine);
    let metadata = metadata(site, root, user_data);
    let body = Resource::new("google_compute_instance", &name)
        .set("name", full)
        .set("machine_type", kind)
        .set("zone", machine.zone.as_str())
        .set("tags", Value::list([role_tag(group.role.as_str())]))
        .set("labels", labels(&site.role_tags(group.role.as_str())))
        .set("can_ip_forward", site.is_router(machine))
        .set("allow_stopping_for_update", true)
        .set("metadata", metadata)
        .block("boot_disk", Object::new().set("auto_delete", true).block("initialize_params", disk))
        .block("network_interface", interface)
        .block("service_account", account())
        .block("shielded_instance_config", shielded())
        .blocks("scheduling", scheduling(group))
        // A newer image or a rotated token is no reason to replace a machine that holds state.
        .ignore_changes(&["boot_disk[0].initialize_params[0].image", "metadata[\"user-data\"]"]);
    root.add(Section::Machines, body);
}

fn unmanaged_group(site: Site<'_>, root: &mut Root, group: &Group, zone: &str, machines: &[&Machine]) {
    let role = group.role.as_str();
    let members = machines
        .iter()
        .filter(|machine| machine.zone == zone)
        .map(|machine| Ref::to("google_compute_instance", key(&machine.name)).attr("self_link"));
    root.add(
        Section::Machines,
        Resource::new("google_compute_instance_group", group_key(role, zone))
            .set("name", site.name(&format!("{role}-{zone}"), 63))
            .set("zone", zone)
            .set("instances", Value::list(members)),
    );
}

fn managed_group(site: Site<'_>, root: &mut Root, group: &Group, kind: &str, scaled: Scaled) {
    let role = group.role.as_str();
    let name = key(role);
    let Some(subnet) = site.subnets_of(group).into_iter().next() else { return };
    let interface = Object::new()
        .set("subnetwork", Ref::to("google_compute_subnetwork", key(&subnet.name)).id())
        .blocks("access_config", group.public_ip.then(Object::new));
    let disk = Object::new()
        .set("boot", true)
        .set("auto_delete", true)
        .set("source_image", image(group))
        .set("disk_type", "pd-balanced")
        .maybe("disk_size_gb", group.disk.map(|size| gib(size).max(10)));
    let user_data = cloud_init::of_group(site, root, group);
    let metadata = metadata(site, root, user_data);
    let template = root.add(
        Section::Machines,
        Resource::new("google_compute_region_instance_template", &name)
            // Templates never change; a new one takes the old one's place under a name of its own.
            .set("name_prefix", format!("{}-", site.regional(role, 37)))
            .set("region", site.region.name.as_str())
            .set("machine_type", kind)
            .set("tags", Value::list([role_tag(role)]))
            .set("labels", labels(&site.role_tags(role)))
            .set("metadata", metadata)
            .block("disk", disk)
            .block("network_interface", interface)
            .block("service_account", account())
            .block("shielded_instance_config", shielded())
            .blocks("scheduling", scheduling(group))
            .block("lifecycle", Object::new().set("create_before_destroy", true)),
    );
    let healing = balancer::healing(site, root, role)
        .map(|check| Object::new().set("health_check", check.id()).set("initial_delay_sec", 300_u32));
    let zones = u32::try_from(site.region.zones.len()).unwrap_or(1).max(1);
    let update = Object::new()
        .set("type", "PROACTIVE")
        .set("minimal_action", "REPLACE")
        // Across zones it counts in steps of at least one for each zone.
        .set("max_surge_fixed", zones)
        .set("max_unavailable_fixed", 0_u32);
    let manager = root.add(
        Section::Machines,
        Resource::new("google_compute_region_instance_group_manager", &name)
            .set("name", site.regional(role, 63))
            .set("base_instance_name", site.regional(role, 58))
            .set("region", site.region.name.as_str())
            .set("distribution_policy_zones", Value::list(site.region.zones.iter()))
            .block("version", Object::new().set("instance_template", template.attr("self_link")))
            .block("update_policy", update)
            .blocks("auto_healing_policies", healing),
    );
    let policy = Object::new()
        .set("min_replicas", scaled.least)
        .set("max_replicas", scaled.most)
        .set("cooldown_period", 120_u32)
        .block("cpu_utilization", Object::new().set("target", scaled.target_cpu));
    root.add(
        Section::Machines,
        Resource::new("google_compute_region_autoscaler", &name)
            .set("name", site.regional(role, 63))
            .set("region", site.region.name.as_str())
            .set("target", manager.id())
            .block("autoscaling_policy", policy),
    );
}

/// An expression of the email of the machines' account.
pub(super) fn account_email() -> Expr {
    Ref::to("google_service_account", "machine").attr("email")
}
