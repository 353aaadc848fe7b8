//! From the plan to what the optimiser may change.

use std::collections::BTreeMap;

use univrs_cost::book::{Need, shares_processors};
use univrs_cost::estimate::{Options as CostOptions, estimate};
use univrs_cost::item::{Machine, Purchase, StorageClass};
use univrs_cost::optimize::{Flow, Group, Interruption, Objects, Problem, Rules};
use univrs_cost::{Item, Kind, Place, PriceBook, Quantity, Ratio};
use univrs_topology::plan::{self, Plan, RegionPlan};
use univrs_topology::spec::{Host, Per, ServiceKind};
use univrs_topology::topology::{Role, Topology};

use crate::items::{disk, gigabytes, purchase, redundancy};
use crate::market::{arch, place, provider, size};

/// What may be changed in `plan` within `rules`.
///
/// Disks count only where machines may move: elsewhere they stay what they are, and one without a known price should
/// not keep its machine from being looked at.
pub(crate) fn problem(
    topology: &Topology,
    plan: &Plan,
    rules: Rules,
    book: &PriceBook,
    options: &CostOptions,
) -> Problem {
    let mut groups = Vec::new();
    let mut seats: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for (index, region) in plan.regions.iter().enumerate() {
        for group in region.groups.iter().filter(|group| group.host == Host::Machine && group.count > 0) {
            let (Some(machine), Some(role)) = (&group.machine, topology.role(group.role.as_str())) else {
                continue;
            };
            seats.insert((group.role.as_str(), index), groups.len());
            let mut found = group_of(topology, role, region, group, machine);
            if found.candidates.is_empty() || !is_disk_priced(book, options, &found) {
                found.candidates.clear();
                found.disk = None;
            }
            groups.push(found);
        }
    }
    let flows = flows(topology, plan, &seats);
    Problem { groups, flows, objects: objects(plan), rules }
}

/// Whether the disk of a group has a price where it stands.
fn is_disk_priced(book: &PriceBook, options: &CostOptions, group: &Group) -> bool {
    let machine = |disk| Machine {
        type_name: group.type_name.clone(),
        size: group.size,
        purchase: Purchase::OnDemand,
        disk,
        public_address: false,
        hours: None,
    };
    let item = |disk| Item {
        name: String::new(),
        place: group.place.clone(),
        count: 1,
        kind: Kind::Machine(machine(disk)),
    };
    let priced = estimate(book, &[item(group.disk), item(None)], options);
    priced.resources[0].complete() || !priced.resources[1].complete()
}

fn group_of(
    topology: &Topology,
    role: &Role,
    region: &RegionPlan,
    group: &plan::Group,
    machine: &str,
) -> Group {
    let sized = group.sized.then(|| group.vcpu.zip(group.memory)).flatten();
    let need = group.needs.map(|needs| Need {
        size: size(needs.vcpu.unwrap_or_default(), needs.memory.unwrap_or_default()),
        arch: group.arch.map(arch),
        // Who has whole processors now keeps them.
        shared: shares_processors(provider(region.cloud), machine),
    });
    let (count, steady, busy) = load(group);
    Group {
        name: format!("{} {}", group.role, region.id),
        place: place(&region.id),
        type_name: machine.to_owned(),
        size: sized.map(|(vcpu, memory)| size(vcpu, memory)),
        purchase: purchase(group.purchase),
        count,
        steady,
        busy,
        disk: disk(region.cloud, group.disk),
        need,
        interruption: match (group.votes, group.interruptible) {
            (true, _) => Interruption::Voter,
            (false, true) => Interruption::Any,
            (false, false) => Interruption::Never,
        },
        candidates: candidates(topology, role, region),
        near: Vec::new(),
        objective: objective(topology, role),
    }
}

/// Most machines, those that always run, and the part of the hours the others run.
///
/// An autoscaled group costs as much as its present count, which is taken for the average; what is above its least
/// comes and goes.
fn load(group: &plan::Group) -> (u32, u32, Ratio) {
    match group.autoscale {
        Some((least, most, _)) if least < most && (least..=most).contains(&group.count) => {
            let part = u64::from(group.count - least) * 1_000_000_000 / u64::from(most - least);
            (most, least, Ratio::from_nanos(part))
        }
        _ => (group.count, group.count, Ratio::ONE),
    }
}

/// Only machines that are counted over all regions may stand in another one: the file says where the others are.
fn candidates(topology: &Topology, role: &Role, home: &RegionPlan) -> Vec<Place> {
    let spec = &role.spec;
    if spec.per != Per::Total {
        return Vec::new();
    }
    let may = |id: &univrs_topology::cloud::RegionId| {
        *id != home.id
            && (spec.at.is_empty() || spec.at.iter().any(|selector| selector.takes(id)))
            && !spec.except.iter().any(|selector| selector.takes(id))
    };
    topology.regions.iter().filter(|region| may(&region.id)).map(|region| place(&region.id)).collect()
}

fn objective(topology: &Topology, role: &Role) -> Option<String> {
    let quorum = topology.spec.objectives.quorum.as_ref();
    quorum.filter(|quorum| quorum.role == role.spec.name.as_str()).map(|_| "objectives.quorum".to_owned())
}

/// Traffic between groups. A role talks to machines of its own region where there are any, else to all alike.
fn flows(topology: &Topology, plan: &Plan, seats: &BTreeMap<(&str, usize), usize>) -> Vec<Flow> {
    let objective = topology.spec.objectives.cross_cloud_rtt;
    let limits = [objective.p50, objective.p90, objective.p99];
    let most = limits.into_iter().flatten().min();
    let most_micros = most.map(|most| u32::try_from(most.as_millis() * 1000).unwrap_or(u32::MAX));
    let mut flows = Vec::new();
    for flow in &plan.flows {
        let of = |role: &str| -> Vec<(usize, usize)> {
            (0..plan.regions.len())
                .filter_map(|region| Some((region, *seats.get(&(role, region))?)))
                .collect()
        };
        let (senders, receivers) = (of(&flow.from), of(&flow.to));
        let mut pairs = Vec::new();
        for (region, a) in &senders {
            let near: Vec<usize> = receivers.iter().filter(|(r, _)| r == region).map(|(_, b)| *b).collect();
            let to = if near.is_empty() { receivers.iter().map(|(_, b)| *b).collect() } else { near };
            pairs.extend(to.into_iter().filter(|b| b != a).map(|b| (*a, b)));
        }
        let Ok(many) = i128::try_from(pairs.len()) else { continue };
        for (a, b) in pairs {
            let a_to_b = Quantity::from_micros(Quantity::units(flow.gb_per_month).micros() / many);
            flows.push(Flow { a, b, a_to_b, b_to_a: Quantity::ZERO, most_micros });
        }
    }
    flows
}

/// Objects whose amount is stated and that the file does not let age: for those that do, the rules of their lifecycle
/// choose the class already. Objects that are read at once stay so: archives are not proposed.
fn objects(plan: &Plan) -> Vec<Objects> {
    let regional = plan.regions.iter().flat_map(|region| &region.services);
    let services = regional.chain(plan.clouds.iter().flat_map(|cloud| &cloud.services));
    let kept = services.filter(|service| service.kind == ServiceKind::ObjectStorage);
    let objects = kept.filter(|service| service.spec.lifecycle.is_none()).filter_map(|service| {
        let spec = &service.spec;
        Some(Objects {
            name: format!("{} {}", spec.name, service.region),
            place: place(&service.region),
            redundancy: redundancy(spec.replication),
            class: StorageClass::Hot,
            kept_gb: gigabytes(spec.stored?),
            // The file does not say how much is read; the risk of the proposal names it.
            read_gb: Quantity::ZERO,
            slowest: StorageClass::Cool,
            objective: None,
        })
    });
    objects.collect()
}
