//! Machines with their disks and addresses, and container groups.

use univrs_cost::Kind;
use univrs_cost::item::{Disk, DiskClass, Machine, ObjectStorage, Purchase, Redundancy, StorageClass, Term};
use univrs_model::quantity::Bytes;
use univrs_topology::cloud::Cloud;
use univrs_topology::plan::{Group, RegionPlan};
use univrs_topology::spec::{self, Host, Persistence};

use super::Bill;
use crate::market::{place, size};

/// Adds the machines of a region.
pub(super) fn add(bill: &mut Bill, region: &RegionPlan) {
    for group in &region.groups {
        let (name, path) = (group.role.as_str(), format!("role.{}", group.role));
        match group.host {
            Host::Machine => add_machines(bill, region, group, &path),
            Host::ContainerGroup => {
                let size = size(group.vcpu.unwrap_or_default(), group.memory.unwrap_or_default());
                bill.add(name, &path, place(&region.id), group.count, Kind::ContainerGroup { size });
                let kept = matches!(group.persistence, Persistence::Files | Persistence::Blob);
                let storage =
                    ObjectStorage { kept: vec![(StorageClass::Hot, None)], redundancy: Redundancy::Local };
                let path = format!("{path}.persistence");
                let count = if kept { group.count } else { 0 };
                let name = format!("{name} data");
                bill.add(&name, &path, place(&region.id), count, Kind::ObjectStorage(storage));
            }
        }
    }
    if pays_for_addresses(region.cloud) {
        // Gateways into the mesh have public addresses where the others of their group have none.
        let alone = |machine: &&univrs_topology::plan::Machine| {
            let group = region.group(machine.role.as_str());
            machine.public_ip && group.is_some_and(|group| group.host == Host::Machine && !group.public_ip)
        };
        let gateways = region.machines.iter().filter(alone).count();
        let count = u32::try_from(gateways).unwrap_or(u32::MAX);
        bill.add("mesh gateway address", "network.mesh", place(&region.id), count, Kind::PublicAddress);
    }
}

fn add_machines(bill: &mut Bill, region: &RegionPlan, group: &Group, path: &str) {
    // Without a type there is nothing to price; the topology's own checks have said so.
    let Some(type_name) = group.machine.clone() else { return };
    let sized = group.sized.then(|| group.vcpu.zip(group.memory)).flatten();
    let machine = Machine {
        type_name,
        size: sized.map(|(vcpu, memory)| size(vcpu, memory)),
        purchase: purchase(group.purchase),
        disk: disk(region.cloud, group.disk),
        public_address: group.public_ip && pays_for_addresses(region.cloud),
        hours: None,
    };
    bill.add(group.role.as_str(), path, place(&region.id), group.count, Kind::Machine(machine));
}

/// How it is paid for, in the words of the price book.
pub(crate) const fn purchase(purchase: spec::Purchase) -> Purchase {
    match purchase {
        spec::Purchase::OnDemand => Purchase::OnDemand,
        spec::Purchase::Reserved1y => Purchase::Reserved(Term::OneYear),
        spec::Purchase::Reserved3y => Purchase::Reserved(Term::ThreeYears),
        spec::Purchase::Spot => Purchase::Spot,
    }
}

/// The disk that is made for a machine: of the class that is emitted, and as large as the provider's usual image when
/// the file does not say.
///
/// At Hetzner and DigitalOcean the disk comes with the machine and is in its price.
pub(crate) fn disk(cloud: Cloud, stated: Option<Bytes>) -> Option<Disk> {
    let (usual, class) = match cloud {
        Cloud::Aws => (8, DiskClass::Balanced),
        Cloud::Azure => (30, DiskClass::Fast),
        Cloud::Gcp => (10, DiskClass::Balanced),
        Cloud::Oci => (50, DiskClass::Balanced),
        Cloud::Hetzner | Cloud::DigitalOcean | Cloud::Cloudflare => return None,
    };
    // No disk is smaller than the image on it.
    let gib = stated.map_or(usual, |disk| u32::try_from(disk.get().div_ceil(1 << 30)).unwrap_or(u32::MAX));
    Some(Disk { gib: gib.max(usual), class })
}

/// Whether public addresses have a price of their own. Oracle's and DigitalOcean's come with the machine.
pub(super) const fn pays_for_addresses(cloud: Cloud) -> bool {
    !matches!(cloud, Cloud::Oci | Cloud::DigitalOcean)
}
