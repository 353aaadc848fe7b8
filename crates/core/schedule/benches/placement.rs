//! How fast placements are: 5,000 nodes of 32 cores in 3 zones, in memory, each placement written into the
//! scheduler's state before the next. `cargo bench -p univrs-schedule`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has to stop")]

use divan::Bencher;
use divan::counter::ItemsCount;
use univrs_model::ids::{InstanceId, NodeId, WorkloadId};
use univrs_model::instance::{Assignment, Desired};
use univrs_model::name::Name;
use univrs_model::node::{Capacity, Location, Role};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::workload::WorkloadSpec;
use univrs_schedule::{NodeInfo, Placed, Request, Scheduler};

const NODES: usize = 5000;

fn main() {
    divan::main();
}

fn cluster() -> Scheduler {
    let mut scheduler = Scheduler::new(7);
    for at in 0..NODES {
        scheduler.upsert_node(NodeInfo {
            id: NodeId::from_bits(at as u128 * 7919 + 1),
            name: format!("n{at}").parse().unwrap(),
            roles: vec![Role::Slim],
            location: Location {
                cloud: "c".into(),
                region: "r".into(),
                zone: format!("z{}", at % 3),
                operator: "o".into(),
            },
            labels: Default::default(),
            capacity: Capacity {
                cpu: Cpu::millicores(32_000),
                memory: Bytes::mebibytes(128 << 10),
                disk: Bytes::new(1 << 40),
            },
            addresses: None,
            runtime: true,
            cordoned: false,
            draining: false,
            ready: true,
        });
    }
    scheduler
}

fn spec(name: &str, placement: serde_json::Value) -> WorkloadSpec {
    serde_json::from_value(serde_json::json!({
        "name": name, "placement": placement,
        "containers": [{"name": "app", "image": "i", "resources": {"cpu": "20m", "memory": "64Mi"}}],
    }))
    .unwrap()
}

/// Requests and what they become when placed.
struct Load {
    requests: Vec<(Request, Placed)>,
}

fn load(workloads: usize, replicas: usize, first: usize, placement: &serde_json::Value) -> Load {
    let mut requests = Vec::with_capacity(workloads * replicas);
    for workload in 0..workloads {
        let spec = spec(&format!("w{}", first + workload), placement.clone());
        let assignment = Assignment {
            id: InstanceId::from_bits(0),
            org: Name::default_org(),
            workload_id: WorkloadId::from_bits(1),
            workload: spec.name.clone(),
            workload_revision: 1,
            slot: 0,
            requests: spec.requests(),
            node: Some(NodeId::from_bits(0)),
            desired: Desired::Run,
            fence: 1,
            created_at: univrs_model::Timestamp::UNIX_EPOCH,
            stop_requested_at: None,
            reason: String::new(),
            lost: false,
        };
        let mut request = Request::new(&assignment, &spec).unwrap();
        request.pinned = None;
        let placed = Placed::of(&assignment, &spec).unwrap();
        for replica in 0..replicas {
            let number = ((first + workload) * 1_000_000 + replica) as u128;
            let id = InstanceId::from_bits(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            requests.push((request.for_instance(id.clone()), Placed { id, ..placed.clone() }));
        }
    }
    Load { requests }
}

fn place_all(scheduler: &mut Scheduler, load: &mut Load) {
    for (request, placed) in &mut load.requests {
        placed.node = scheduler.place(request).unwrap().node;
        assert!(scheduler.add_instance(placed));
    }
}

fn run(bencher: Bencher<'_, '_>, workloads: usize, replicas: usize, placement: serde_json::Value) {
    let cluster = cluster();
    bencher
        .counter(ItemsCount::new(workloads * replicas))
        .with_inputs(|| (cluster.clone(), load(workloads, replicas, 0, &placement)))
        .bench_local_refs(|(scheduler, load)| place_all(scheduler, load));
}

#[divan::bench(sample_count = 5, sample_size = 1, args = [(1, 100_000), (2, 50_000), (10, 10_000), (20, 5000), (100, 1000), (1000, 100), (20_000, 5)])]
fn basic(bencher: Bencher<'_, '_>, (workloads, replicas): (usize, usize)) {
    run(bencher, workloads, replicas, serde_json::json!({}));
}

#[divan::bench(sample_count = 5, sample_size = 1, args = [(1, 50_000), (50, 1000)])]
fn required_spread_over_zones(bencher: Bencher<'_, '_>, (workloads, replicas): (usize, usize)) {
    run(bencher, workloads, replicas, serde_json::json!({"spread": ["zone!"]}));
}

#[divan::bench(sample_count = 5, sample_size = 1, args = [(10, 5000), (500, 100)])]
fn anti_affinity(bencher: Bencher<'_, '_>, (workloads, replicas): (usize, usize)) {
    run(bencher, workloads, replicas, serde_json::json!({"anti_affinity": ["self"]}));
}

#[divan::bench(sample_count = 5, sample_size = 1, args = [(50, 1000)])]
fn constraint_and_affinity(bencher: Bencher<'_, '_>, (workloads, replicas): (usize, usize)) {
    run(
        bencher,
        workloads,
        replicas,
        serde_json::json!({"constraints": ["zone in [z0, z1]"], "affinity": ["w0"]}),
    );
}

/// The same 10,000 placements with so many instances already there: the cost must not grow.
#[divan::bench(sample_count = 5, sample_size = 1, args = [0, 10_000, 100_000, 1_000_000])]
fn basic_with_instances_already_placed(bencher: Bencher<'_, '_>, already: usize) {
    let mut cluster = cluster();
    place_all(&mut cluster, &mut load(already / 1000, 1000, 5000, &serde_json::json!({})));
    bencher
        .counter(ItemsCount::new(10_000_usize))
        .with_inputs(|| {
            // A copy has no room to grow; make it, as a scheduler in use has it.
            let mut scheduler = cluster.clone();
            let mut room = load(200, 100, 9000, &serde_json::json!({}));
            place_all(&mut scheduler, &mut room);
            for (request, _) in &room.requests {
                scheduler.remove_instance(&request.id);
            }
            (scheduler, load(100, 100, 0, &serde_json::json!({})))
        })
        .bench_local_refs(|(scheduler, load)| place_all(scheduler, load));
}

/// Nothing fits anywhere: each refusal counts all nodes by filter.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn unplaceable(bencher: Bencher<'_, '_>) {
    let cluster = cluster();
    bencher
        .counter(ItemsCount::new(1000_usize))
        .with_inputs(|| {
            (cluster.clone(), load(10, 100, 0, &serde_json::json!({"constraints": ["cloud == none"]})))
        })
        .bench_local_refs(|(scheduler, load)| {
            for (request, _) in &load.requests {
                assert!(scheduler.place(request).is_err());
            }
        });
}

/// Every node is full of instances of lower priority.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn preemption(bencher: Bencher<'_, '_>) {
    let mut cluster = cluster();
    let big = serde_json::from_value::<WorkloadSpec>(serde_json::json!({
        "name": "big", "priority": 10,
        "containers": [{"name": "app", "image": "i", "resources": {"cpu": "4", "memory": "1Gi"}}],
    }));
    let big = big.unwrap();
    let mut fill = load(1, 40_000, 0, &serde_json::json!({}));
    for (request, placed) in &mut fill.requests {
        placed.requests = big.requests();
        placed.priority = 10;
        request.priority = 10;
    }
    let nodes: Vec<NodeId> = (0..NODES).map(|at| NodeId::from_bits(at as u128 * 7919 + 1)).collect();
    for (at, (_, placed)) in fill.requests.iter_mut().enumerate() {
        placed.node = nodes[at % NODES].clone();
        cluster.add_instance(placed);
    }
    bencher
        .counter(ItemsCount::new(100_usize))
        .with_inputs(|| (cluster.clone(), load(1, 100, 1, &serde_json::json!({}))))
        .bench_local_refs(|(scheduler, load)| {
            for (request, placed) in &mut load.requests {
                if let Ok(placement) = scheduler.place(request) {
                    placed.node = placement.node;
                } else {
                    let preemption = scheduler.preempt(request).unwrap();
                    for victim in &preemption.victims {
                        scheduler.remove_instance(victim);
                    }
                    placed.node = preemption.node;
                }
                scheduler.add_instance(placed);
            }
        });
}
