//! Disks and objects.

use super::component::{Component, Gap};
use super::desk::{Desk, Step, months};
use crate::item::{Disk, DiskClass, Item, ObjectStorage, Redundancy, StorageClass};
use crate::money::Quantity;
use crate::place::Place;
use crate::table::{Meter, Provider};

/// Sizes Azure sells disks in, in GiB, and their numbers.
const AZURE_DISKS: &[(u32, u32)] = &[
    (4, 1),
    (8, 2),
    (16, 3),
    (32, 4),
    (64, 6),
    (128, 10),
    (256, 15),
    (512, 20),
    (1024, 30),
    (2048, 40),
    (4096, 50),
    (8192, 60),
    (16384, 70),
    (32767, 80),
];
/// Performance units per GB of an Oracle disk.
const OCI_BALANCED_UNITS: u64 = 10;
const OCI_FAST_UNITS: u64 = 20;
/// What DigitalOcean's base price for object storage includes, in GB.
const SPACES_INCLUDED_GB: u64 = 250;
/// What Hetzner's base price for object storage includes, in GB.
const HETZNER_INCLUDED_GB: u64 = 1_000;

/// The name a disk class has in the allowances.
pub(super) fn class_name(class: DiskClass) -> &'static str {
    match class {
        DiskClass::Economy => "economy",
        DiskClass::Balanced => "balanced",
        DiskClass::Fast => "fast",
    }
}

/// The components of that many disks.
pub(super) fn disk_lines(desk: &Desk<'_>, place: &Place, disk: Disk, count: u32) -> Vec<Component> {
    let gb = Some(Quantity::units(u64::from(disk.gib) * u64::from(count)));
    let line = |name: &str, sku: &str, amount| desk.line(place, name, ("block_storage", sku), amount);
    match place.provider {
        Provider::Aws => {
            let (name, sku) = match disk.class {
                DiskClass::Economy => ("disk st1", "st1-gb-month"),
                DiskClass::Balanced => ("disk gp3", "gp3-gb-month"),
                DiskClass::Fast => ("disk io2, without provisioned operations", "io2-gb-month"),
            };
            vec![line(name, sku, gb)]
        }
        Provider::Azure => vec![azure_disk(desk, place, disk, count)],
        Provider::Gcp => {
            let (name, sku) = match disk.class {
                DiskClass::Economy => ("disk pd-standard", "pd-standard-gb-month"),
                DiskClass::Balanced => ("disk pd-balanced", "pd-balanced-gb-month"),
                DiskClass::Fast => ("disk pd-ssd", "pd-ssd-gb-month"),
            };
            vec![line(name, sku, gb)]
        }
        Provider::Oci => {
            let units = match disk.class {
                DiskClass::Economy => 0,
                DiskClass::Balanced => OCI_BALANCED_UNITS,
                DiskClass::Fast => OCI_FAST_UNITS,
            };
            vec![
                line("block volume", "block-gb-month", gb),
                line("block volume, performance", "block-vpu-gb-month", gb.map(|gb| gb.times(units))),
            ]
        }
        Provider::Hetzner | Provider::Digitalocean => {
            vec![
                line("volume", "volume-gb-month", gb)
                    .noted("the disk that comes with the server is not counted"),
            ]
        }
        Provider::Cloudflare => vec![Component::unpriced("disk", "GB", gb)],
    }
}

/// Azure sells disks in steps; the next larger one is paid for.
fn azure_disk(desk: &Desk<'_>, place: &Place, disk: Disk, count: u32) -> Component {
    let (kind, letter) = match disk.class {
        DiskClass::Economy => ("standard-hdd", 'S'),
        DiskClass::Balanced => ("standard-ssd", 'E'),
        DiskClass::Fast => ("premium-ssd", 'P'),
    };
    let amount = Some(months(count));
    let Some((gib, number)) = AZURE_DISKS.iter().find(|(gib, _)| *gib >= disk.gib) else {
        return Component::unpriced("disk", "months", amount).noted("larger than any disk sold");
    };
    let name = format!("disk {letter}{number} of {gib} GiB");
    let begins = format!("{kind}-{letter}{number}-");
    let row = desk.book.services(Provider::Azure, "block_storage").find(|row| row.sku.starts_with(&begins));
    match row {
        Some(row) => desk.line(place, name, ("block_storage", row.sku), amount),
        None => Component::unpriced(name, "months", amount),
    }
}

impl Desk<'_> {
    /// Takes what is free off the disks of an item. Applies to disks priced by GB; where they are sold in steps, an
    /// allowance covers whole disks and is left out.
    pub(super) fn free_disk(&mut self, item: &Item, class: DiskClass, components: &mut Vec<Component>) {
        let scope = (Meter::Disk, class_name(class));
        if item.place.provider == Provider::Azure || !self.allowances.exists(&item.place, scope.0, scope.1) {
            return;
        }
        let Some(first) = components.first() else { return };
        let Some(wanted) = first.amount else { return };
        let (name, unit) = (first.name.clone(), first.unit);
        let (free, paid) = self.free_parts(item, scope, (&name, unit), wanted);
        // All components of the disks shrink in step: performance units are counted per GB.
        for component in components.iter_mut() {
            let Some(amount) = component.amount else { continue };
            let each = amount.micros() / wanted.micros().max(1);
            let amount = Quantity::from_micros(paid.micros() * each);
            component.amount = Some(amount);
            component.cost = component.price.map(|price| price.amount.times(amount));
        }
        components.splice(0..0, free);
    }

    pub(super) fn object_storage(&mut self, item: &Item, storage: &ObjectStorage) -> Vec<Component> {
        let mut components = Vec::new();
        for (class, gb) in &storage.kept {
            let gb = gb.map(|gb| gb.times(u64::from(item.count)));
            components.extend(self.objects(item, *class, storage.redundancy, gb));
        }
        let elsewhere = matches!(item.place.provider, Provider::Aws | Provider::Oci);
        if storage.redundancy == Redundancy::Regions && elsewhere {
            let total = storage.kept.iter().try_fold(Quantity::ZERO, |sum, (_, gb)| gb.map(|gb| sum + gb));
            let copy = Component::unpriced("copies in another region", "GB-month", total);
            components.push(copy.by_use().noted("a second bucket there; give it as an item of its own"));
        }
        components
    }

    fn objects(
        &mut self,
        item: &Item,
        class: StorageClass,
        redundancy: Redundancy,
        gb: Option<Quantity>,
    ) -> Vec<Component> {
        let (place, service) = (&item.place, "object_storage");
        let name = match class {
            StorageClass::Hot => "objects",
            StorageClass::Cool => "objects, rarely read",
            StorageClass::Archive => "objects, archived",
        };
        let step = |sku: &str, width: Option<u64>, label| Step {
            width: width.map(Quantity::units),
            sku: sku.to_owned(),
            label,
        };
        match place.provider {
            Provider::Oci => {
                let sku = match class {
                    StorageClass::Hot => "standard",
                    StorageClass::Cool => "infrequent",
                    StorageClass::Archive => "archive",
                };
                let steps = [
                    step(&format!("{sku}-gb-month from 0"), Some(10), "first 10 GB"),
                    step(&format!("{sku}-gb-month from 10"), None, "further"),
                ];
                match gb {
                    Some(gb) => self.climb_account(item, name, service, &steps, gb),
                    None => self.climb(place, name, service, &steps[1..], Quantity::ZERO, None),
                }
                .into_iter()
                .map(Component::by_use)
                .collect()
            }
            Provider::Digitalocean => {
                let base = "spaces-base-month(250GiB+1TiB out)";
                let extra = gb.map(|gb| gb.less(Quantity::units(SPACES_INCLUDED_GB)));
                vec![
                    self.line(place, "objects, first 250 GB", (service, base), Some(months(item.count))),
                    self.line(place, name, (service, "spaces-extra-gb-month"), extra).by_use(),
                ]
            }
            Provider::Hetzner => {
                let base = "base-1TB+1TB-egress-month";
                let first = self.line(place, "objects, first TB", (service, base), Some(months(item.count)));
                let further = match gb {
                    Some(gb) => {
                        let beyond = gb.less(Quantity::units(HETZNER_INCLUDED_GB));
                        Component::unpriced("objects, further", "GB-month", Some(beyond))
                    }
                    None => Component {
                        gap: Some(Gap::Amount),
                        ..Component::unpriced("objects, further", "GB-month", None)
                    },
                };
                vec![first, further.by_use()]
            }
            _ => {
                // Google sells copies over regions by continent.
                let continent = Place::new(place.provider, continent(&place.region));
                let place = match (place.provider, redundancy) {
                    (Provider::Gcp, Redundancy::Regions) => &continent,
                    _ => place,
                };
                let line = match storage_sku(place.provider, class, redundancy) {
                    Some(sku) => self.line(place, name, (service, sku), gb),
                    None => Component::unpriced(name, "GB-month", gb),
                };
                vec![line.by_use()]
            }
        }
    }
}

fn continent(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("europe") => "europe-multi",
        Some("asia" | "australia") => "asia-multi",
        _ => "us-multi",
    }
}

/// The sku of a storage class where one GB of it has one price.
pub(super) fn storage_sku(
    provider: Provider,
    class: StorageClass,
    redundancy: Redundancy,
) -> Option<&'static str> {
    use Redundancy::{Local, Regions, Zones};
    use StorageClass::{Archive, Cool, Hot};
    Some(match (provider, class, redundancy) {
        (Provider::Aws, Hot, _) => "s3-standard-gb-month",
        (Provider::Aws, Cool, _) => "s3-standard-ia-gb-month",
        (Provider::Aws, Archive, _) => "s3-glacier-flexible-gb-month",
        (Provider::Azure, Hot, Local) => "blob-hot-lrs-gb-month",
        (Provider::Azure, Hot, Zones) => "blob-hot-zrs-gb-month",
        (Provider::Azure, Hot, Regions) => "blob-hot-grs-gb-month",
        (Provider::Azure, Cool, Zones) => "blob-cool-zrs-gb-month",
        (Provider::Azure, Cool, Regions) => "blob-cool-grs-gb-month",
        (Provider::Gcp, Hot, Regions) => "gcs-standard-multi-gb-month",
        (Provider::Gcp, Hot, _) => "gcs-standard-gb-month",
        (Provider::Gcp, Cool, Local | Zones) => "gcs-nearline-gb-month",
        (Provider::Gcp, Archive, Local | Zones) => "gcs-archive-gb-month",
        (Provider::Cloudflare, Hot, _) => "r2-gb-month",
        _ => return None,
    })
}

/// The sku for reading a GB back, where reading costs extra; `Some(None)` when it costs nothing.
pub(super) fn retrieval_sku(provider: Provider, class: StorageClass) -> Option<Option<&'static str>> {
    Some(match (provider, class) {
        (_, StorageClass::Hot) => None,
        (Provider::Aws, StorageClass::Cool) => Some("s3-ia-retrieval-gb"),
        (Provider::Aws, StorageClass::Archive) => Some("s3-glacier-flexible-retrieval-gb"),
        (Provider::Gcp, StorageClass::Cool) => Some("gcs-nearline-retrieval-gb"),
        (Provider::Gcp, StorageClass::Archive) => Some("gcs-archive-retrieval-gb"),
        _ => return None,
    })
}
