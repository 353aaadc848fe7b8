//! The example of 66 nodes over three clouds and six regions, written as items and as groups.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has to stop")]

use univrs_cost::book::Need;
use univrs_cost::item::{
    Balancer, Database, Destination, Disk, DiskClass, Kind, Machine, ObjectStorage, Purchase, Redundancy,
    Size, StorageClass,
};
use univrs_cost::optimize::{Flow, Group, Interruption, Problem, Rules};
use univrs_cost::{Item, Place, PriceBook, Quantity, Ratio};

/// Regions of the example, two for each cloud.
pub(crate) const REGIONS: [&str; 6] =
    ["aws:us-east-1", "aws:us-west-2", "azure:eastus", "azure:westus", "gcp:us-central1", "gcp:us-west1"];

/// Role, machines in each region, disk, and type by cloud.
const ROLES: [(&str, u32, u32, [&str; 3]); 3] = [
    ("validator", 2, 500, ["c6i.4xlarge", "Standard_D8s_v5", "c2-standard-8"]),
    ("business", 3, 250, ["c6i.2xlarge", "Standard_D4s_v5", "c2-standard-4"]),
    ("slim", 6, 50, ["t3.large", "Standard_B2s", "e2-standard-2"]),
];

/// Everything that costs, with that many times the machines.
pub(crate) fn items(times: u32) -> Vec<Item> {
    let mut items = Vec::new();
    for (index, region) in REGIONS.into_iter().enumerate() {
        let place = Place::parse(region).unwrap();
        let mut add = |name: &str, count: u32, kind: Kind| {
            items.push(Item { name: name.to_owned(), place: place.clone(), count, kind });
        };
        for (role, count, gib, types) in ROLES {
            let machine = Machine {
                type_name: types[index / 2].to_owned(),
                size: None,
                purchase: Purchase::OnDemand,
                disk: Some(Disk { gib, class: DiskClass::Balanced }),
                public_address: false,
                hours: None,
            };
            add(role, count * times, Kind::Machine(machine));
        }
        let database = Database {
            size: Size::of(4, 32),
            storage_gib: 512,
            high_availability: true,
            class: None,
            backup_gb: None,
        };
        add("postgres", 1, Kind::Database(database));
        add("redis", 1, Kind::Cache { mib: 13 * 1024, replicas: 1, class: None });
        add("nat", 1, Kind::Nat { machines: 11 * times, processed_gb: None });
        let balancer = Kind::LoadBalancer { kind: Balancer::Application, processed_gb: None };
        add("load_balancer", 1, balancer);
        add("logs", 1, Kind::Logs { ingested_gb: None, kept_gb: None });
        add("keys", 1, Kind::Keys { keys: 1, requests: None });
        let kept = vec![(StorageClass::Hot, None)];
        let storage = ObjectStorage { kept, redundancy: Redundancy::Local };
        add("object_storage", 1, Kind::ObjectStorage(storage));
        add("egress", 1, Kind::Egress { to: Destination::Internet, gb: None });
    }
    items
}

/// Only the machines, without their disks.
pub(crate) fn compute() -> Vec<Item> {
    let bare = |item: Item| match item.kind {
        Kind::Machine(machine) => {
            Some(Item { kind: Kind::Machine(Machine { disk: None, ..machine }), ..item })
        }
        _ => None,
    };
    items(1).into_iter().filter_map(bare).collect()
}

/// The machines as groups. With `open`, they may stand in any of the six regions and be any type of their size.
pub(crate) fn problem(open: bool) -> Problem {
    let book = PriceBook::builtin();
    let candidates: Vec<Place> = REGIONS.iter().map(|region| Place::parse(region).unwrap()).collect();
    let groups: Vec<Group> = compute()
        .into_iter()
        .filter_map(|item| {
            let Kind::Machine(machine) = item.kind else { return None };
            let now = book.machine(&item.place, &machine.type_name).unwrap();
            let interruption = match item.name.as_str() {
                "validator" => Interruption::Voter,
                "slim" => Interruption::Any,
                _ => Interruption::Never,
            };
            Some(Group {
                need: open.then_some(Need {
                    size: now.size,
                    arch: Some(now.arch),
                    shared: item.name == "slim",
                }),
                candidates: if open { candidates.clone() } else { Vec::new() },
                name: item.name,
                place: item.place,
                type_name: machine.type_name,
                size: None,
                purchase: Purchase::OnDemand,
                count: item.count,
                steady: item.count,
                busy: Ratio::ONE,
                disk: None,
                interruption,
                near: Vec::new(),
                objective: None,
            })
        })
        .collect();
    let flow = |a: usize, b: usize, gb: u64| Flow {
        a,
        b,
        a_to_b: Quantity::units(gb),
        b_to_a: Quantity::units(gb),
        most_micros: None,
    };
    // Each business group talks to its region's validators.
    let flows =
        if open { (0..6).map(|region| flow(region * 3, region * 3 + 1, 500)).collect() } else { Vec::new() };
    Problem { groups, flows, objects: Vec::new(), rules: Rules::default() }
}
