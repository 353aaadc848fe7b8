//! Managed services, load balancers, NAT gateways, links and names.

use univrs_cost::item::{Balancer, Database, ObjectStorage, Redundancy, Size, StorageClass};
use univrs_cost::{Kind, Place, Quantity};
use univrs_model::quantity::Bytes;
use univrs_topology::cloud::{Cloud, RegionId};
use univrs_topology::plan::{Plan, RegionPlan, ServiceInstance};
use univrs_topology::spec::{LinkKind, Replication, ServiceKind, ServiceSize};
use univrs_topology::topology::Topology;

use super::Bill;
use super::machines::pays_for_addresses;
use crate::market::{place, provider, size};

/// What a database has when the file does not say; the emitter takes the same.
const USUAL_DATABASE: Size = Size::of(2, 8);
const USUAL_DATABASE_GIB: u32 = 32;
/// What a cache has when the file does not say, in MiB.
const USUAL_CACHE_MIB: u32 = 1024;
/// Milliseconds of a month of 730 hours.
const MONTH_MILLIS: u64 = 730 * 3_600_000;

/// Bytes as GB (10^9), as providers sell storage and traffic.
pub(crate) fn gigabytes(bytes: Bytes) -> Quantity {
    Quantity::from_micros(i128::from(bytes.get()) / 1000)
}

fn gib(bytes: Bytes) -> u32 {
    u32::try_from(bytes.get().div_ceil(1 << 30)).unwrap_or(u32::MAX)
}

/// Adds a managed service.
pub(super) fn add(bill: &mut Bill, service: &ServiceInstance) {
    let spec = &service.spec;
    let (name, path) = (spec.name.as_str(), format!("service.{}", spec.name));
    let place = place(&service.region);
    let mut one = |kind: Kind| bill.add(name, &path, place.clone(), 1, kind);
    match service.kind {
        ServiceKind::Postgres => {
            let database = |high_availability: bool| {
                Kind::Database(Database {
                    size: database_size(spec.size),
                    storage_gib: spec.size.storage.map_or(USUAL_DATABASE_GIB, gib),
                    high_availability,
                    class: service.machine.as_deref().map(|class| database_class(service.cloud, class)),
                    backup_gb: None,
                })
            };
            one(database(spec.high_availability));
            let copies = format!("{name} replica");
            bill.add(&copies, &format!("{path}.replicas"), place, spec.replicas, database(false));
        }
        ServiceKind::Redis => one(Kind::Cache {
            mib: spec.size.memory.map_or(USUAL_CACHE_MIB, |memory| {
                u32::try_from(memory.get().div_ceil(1024 * 1024)).unwrap_or(u32::MAX)
            }),
            replicas: spec.replicas,
            class: service.machine.clone(),
        }),
        ServiceKind::ObjectStorage => one(Kind::ObjectStorage(ObjectStorage {
            // What moves to cheaper classes is younger than that now: all of it counts as new.
            kept: vec![(StorageClass::Hot, spec.stored.map(gigabytes))],
            redundancy: redundancy(spec.replication),
        })),
        // Versions that are kept after a rotation are not counted: nobody says when they are destroyed.
        ServiceKind::Keys => one(Kind::Keys { keys: 1, requests: None }),
        ServiceKind::Logs => {
            let ingested = spec.ingest.map(gigabytes);
            let months = |gb: Quantity, millis: u64| {
                Quantity::from_micros(gb.micros() * i128::from(millis) / i128::from(MONTH_MILLIS))
            };
            let kept = ingested.zip(spec.retention).map(|(gb, kept)| months(gb, kept.as_millis()));
            one(Kind::Logs { ingested_gb: ingested, kept_gb: kept });
        }
        // Load balancers stand in the region beside its services.
        ServiceKind::LoadBalancer => {}
    }
}

fn database_size(stated: ServiceSize) -> Size {
    let of = |vcpu, memory| size(vcpu, memory);
    let stated = of(stated.vcpu.unwrap_or_default(), stated.memory.unwrap_or_default());
    Size {
        milli_vcpu: if stated.milli_vcpu > 0 { stated.milli_vcpu } else { USUAL_DATABASE.milli_vcpu },
        mib: if stated.mib > 0 { stated.mib } else { USUAL_DATABASE.mib },
    }
}

/// The price list's name of a class: OpenTofu writes `GP_Standard_D4ds_v5` where the list has `D4ds_v5`.
fn database_class(cloud: Cloud, class: &str) -> String {
    let listed = match cloud {
        Cloud::Azure => class.split_once("Standard_").map_or(class, |(_, listed)| listed),
        _ => class,
    };
    listed.to_owned()
}

/// Where copies of objects are kept, in the words of the price book.
pub(crate) const fn redundancy(replication: Option<Replication>) -> Redundancy {
    match replication {
        None | Some(Replication::Local) => Redundancy::Local,
        Some(Replication::Zones) => Redundancy::Zones,
        Some(Replication::Regions | Replication::Synchronous | Replication::Asynchronous) => {
            Redundancy::Regions
        }
    }
}

/// Adds the NAT gateways and load balancers of a region; `internet` is what leaves it for the internet in a month.
pub(super) fn add_ways_in_and_out(
    bill: &mut Bill,
    topology: &Topology,
    region: &RegionPlan,
    internet: Option<Quantity>,
) {
    let many = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let place = || place(&region.id);
    let gateways = many(region.nat.len());
    let behind = many(region.machines.iter().filter(|machine| !machine.public_ip).count());
    // Each gateway carries the machines of its own zone.
    let machines = behind.div_ceil(gateways.max(1));
    let nat = Kind::Nat { machines, processed_gb: None };
    bill.add("NAT gateway", "network.nat", place(), gateways, nat);
    if pays_for_addresses(region.cloud) {
        bill.add("NAT gateway address", "network.nat", place(), gateways, Kind::PublicAddress);
    }
    for balancer in &region.load_balancers {
        // The plan has its name as a DNS label; the file may write it with `_`.
        let spec = topology.services.iter().find(|service| service.spec.label.as_str() == balancer.name);
        let name = spec.map_or(balancer.name.as_str(), |service| service.spec.name.as_str());
        let path = format!("service.{name}");
        let kind = Kind::LoadBalancer { kind: Balancer::Network, processed_gb: internet };
        bill.add(name, &path, place(), 1, kind);
        // AWS gives one address in each zone and charges for them; Azure has one.
        let addresses = match region.cloud {
            Cloud::Aws => many(balancer.subnets.len()),
            Cloud::Azure => 1,
            _ => 0,
        };
        bill.add(&format!("{name} address"), &path, place(), addresses, Kind::PublicAddress);
    }
}

/// Adds what VPN links cost at each end. Peerings have no price but that of their traffic.
pub(super) fn add_links(bill: &mut Bill, plan: &Plan) {
    for region in &plan.regions {
        let ours = |id: &RegionId| *id == region.id;
        let links = plan.links.iter().filter(|link| link.kind == LinkKind::Vpn);
        let tunnels: u32 = links
            .filter(|link| ours(&link.between.0) || ours(&link.between.1))
            .map(|link| match region.cloud {
                // A connection of AWS has two tunnels.
                Cloud::Aws => u32::from(link.tunnels).div_ceil(2),
                _ => u32::from(link.tunnels),
            })
            .sum();
        if tunnels > 0 {
            bill.add("VPN gateway", "link", place(&region.id), 1, Kind::Vpn { connections: tunnels });
        }
    }
}

/// Endpoints that come with Cloudflare's load balancing.
const CLOUDFLARE_ENDPOINTS: u32 = 2;

/// Adds the zone of the names, and what steers them.
pub(super) fn add_names(bill: &mut Bill, plan: &Plan) {
    let Some(dns) = &plan.dns else { return };
    let checks = u32::try_from(dns.health_checks.len()).unwrap_or(u32::MAX);
    // Prices of names are the same everywhere.
    let place = || Place::new(provider(dns.provider), "*");
    let health_checks = match dns.provider {
        Cloud::Cloudflare => checks.saturating_sub(CLOUDFLARE_ENDPOINTS),
        _ => checks,
    };
    let names = Kind::Dns { zones: 1, million_queries: None, health_checks };
    bill.add("names", "traffic.dns", place(), 1, names);
    if dns.provider == Cloud::Cloudflare && dns.records.len() > 1 {
        let steering = Kind::LoadBalancer { kind: Balancer::Global, processed_gb: None };
        bill.add("weighted names", "traffic.dns", place(), 1, steering);
    }
}
