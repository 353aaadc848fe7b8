//! Single machines and instance pools.

use univrs_topology::catalogue::Arch;
use univrs_topology::plan::{Group, Machine};
use univrs_topology::spec::{Host, Purchase};

use super::{compartment, tags};
use crate::cloud_init;
use crate::emission::Gaps;
use crate::quantity::{cpus, gib, gib_decimal};
use crate::site::Site;
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, Variable, key};

/// The smallest boot volume, in GiB.
const BOOT_GIB: u64 = 50;

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    for group in &site.region.groups {
        if group.host == Host::ContainerGroup {
            gaps.no_container_groups(site, group);
            continue;
        }
        let Some(shape) = gaps.machine_type(site, group) else { continue };
        if group.autoscale.is_some() {
            gaps.add(
                site,
                group.role.as_str(),
                "its number does not follow the load: Oracle's autoscaling is not in the schema at hand",
                "change `count`",
            );
        }
        for machine in site.all_of(group) {
            single(site, root, group, shape, machine);
        }
    }
}

/// The zone's full name, which differs from tenancy to tenancy.
fn domain(site: Site<'_>, root: &mut Root, zone: &str) -> Expr {
    let domains = root.variable(
        "availability_domains",
        Variable {
            description: "Names of the region's availability domains in order, from `oci iam availability-domain list`.",
            kind: "list(string)",
            ..Variable::default()
        },
    );
    Expr::new(format!("{}[{}]", domains.text(), site.zone_index(zone)))
}

fn image(root: &mut Root, arch: Option<Arch>) -> Expr {
    let (name, description) = match arch {
        Some(Arch::Arm64) => {
            ("image_id_arm64", "OCID of a Debian or Ubuntu image for Arm machines in the region.")
        }
        Some(Arch::X86_64) | None => {
            ("image_id_x86_64", "OCID of a Debian or Ubuntu image for Intel and AMD machines in the region.")
        }
    };
    root.variable(name, Variable { description, ..Variable::default() })
}

/// The architecture of a shape: `A` shapes are Arm.
fn arch(group: &Group, shape: &str) -> Option<Arch> {
    let arm = shape.contains(".A1.") || shape.contains(".A2.") || shape.contains(".A4.");
    group.arch.or(arm.then_some(Arch::Arm64))
}

/// Size of a flexible shape. One unit is one processor on Arm, and two threads of one on Intel and AMD.
fn size(group: &Group, shape: &str) -> Option<Object> {
    let flexible = shape.ends_with(".Flex");
    let threads = if arch(group, shape) == Some(Arch::Arm64) { 1 } else { 2 };
    let units = |cpu| cpus(cpu).div_ceil(threads);
    (flexible && (group.vcpu.is_some() || group.memory.is_some())).then(|| {
        Object::new()
            .maybe("ocpus", group.vcpu.map(units))
            .maybe("memory_in_gbs", group.memory.map(gib_decimal))
    })
}

fn single(site: Site<'_>, root: &mut Root, group: &Group, shape: &str, machine: &Machine) {
    let name = key(&machine.name);
    let ssh = site.ssh_key(root);
    let user_data = cloud_init::of_machine(site, root, group, machine);
    let user_data = root.local(Section::Machines, &format!("user_data_{name}"), user_data);
    let role = group.role.as_str();
    let interface = Object::new()
        .set("subnet_id", Ref::to("oci_core_subnet", key(&machine.subnet)).id())
        .set("private_ip", machine.address.to_string())
        .set("assign_public_ip", if machine.public_ip { "true" } else { "false" })
        .set("skip_source_dest_check", site.is_router(machine))
        .set("nsg_ids", Value::list([Ref::to("oci_core_network_security_group", key(role)).id()]));
    let image = image(root, arch(group, shape));
    let source = Object::new()
        .set("source_type", "image")
        .set("source_id", image)
        .maybe("boot_volume_size_in_gbs", group.disk.map(|disk| gib(disk).max(BOOT_GIB).to_string()));
    let metadata = Object::new()
        .set("ssh_authorized_keys", ssh)
        .set("user_data", Expr::new(format!("base64encode({})", user_data.text())));
    let interruptible = (group.purchase == Purchase::Spot).then(|| {
        Object::new().block(
            "preemption_action",
            Object::new().set("type", "TERMINATE").set("preserve_boot_volume", false),
        )
    });
    let domain = domain(site, root, &machine.zone);
    let body = Resource::new("oci_core_instance", &name)
        .set("compartment_id", compartment())
        .set("availability_domain", domain)
        .set("display_name", site.name(&machine.name, 255))
        .set("shape", shape)
        .set("metadata", metadata)
        .set("freeform_tags", tags(&site.role_tags(role)))
        .blocks("shape_config", size(group, shape))
        .block("create_vnic_details", interface)
        .block("source_details", source)
        .block("instance_options", Object::new().set("are_legacy_imds_endpoints_disabled", true))
        .blocks("preemptible_instance_config", interruptible)
        // A newer image or a rotated token is no reason to replace a machine that holds state.
        .ignore_changes(&["source_details[0].source_id", "metadata[\"user_data\"]"]);
    root.add(Section::Machines, body);
}
