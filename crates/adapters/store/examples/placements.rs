//! How fast instances are placed on 5,000 nodes in three zones: `placements <directory for the store>`.
//!
//! In memory, each placement is written into the scheduler before the next. With the store, every 500 placements are
//! committed as the control plane commits them: one guarded transaction with assignments and events, synced to disk
//! before the next 500 are placed. Prints one JSON object per line; each figure is the median of several rounds.

use std::io::Write;
use std::time::{Duration, Instant};

use univrs_model::Timestamp;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::{InstanceId, NodeId, WorkloadId};
use univrs_model::instance::{Assignment, Desired};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::node::{Capacity, Location, Role};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::workload::WorkloadSpec;
use univrs_ports::store::{Guard, Key, MemberId, Op, StateStore, Txn};
use univrs_schedule::{NodeInfo, Placed, Request, Scheduler};
use univrs_store::{Options, RaftStore};

const NODES: usize = 5000;
const ROUNDS: usize = 5;
/// Placements in one transaction.
const COMMIT: usize = 500;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let dir = std::env::args().nth(1).ok_or("which directory for the store?")?;
    let none = serde_json::json!({});
    in_memory("basic", 50, 1000, &none)?;
    in_memory("required spread over 3 zones", 5, 1000, &serde_json::json!({"spread": ["zone!"]}))?;
    in_memory("anti-affinity", 10, 1000, &serde_json::json!({"anti_affinity": ["self"]}))?;
    growing(&none)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(with_store(&dir, &none))
}

fn report(case: &str, placements: usize, took: Duration) -> Result<(), Failure> {
    let rate = placements as f64 / took.as_secs_f64();
    let line = serde_json::json!({
        "case": case, "nodes": NODES, "placements": placements, "per_second": rate.round(),
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn in_memory(
    case: &str,
    workloads: usize,
    replicas: usize,
    placement: &serde_json::Value,
) -> Result<(), Failure> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut scheduler = cluster()?;
        let mut load = load(workloads, replicas, 0, placement)?;
        let begun = Instant::now();
        for wanted in &mut load {
            wanted.place(&mut scheduler)?;
        }
        times.push(begun.elapsed());
    }
    report(case, workloads * replicas, median(times))
}

/// One scheduler is filled; the same 10,000 placements are timed again and again on the way.
fn growing(placement: &serde_json::Value) -> Result<(), Failure> {
    const STEP: usize = 10_000;
    let marks = [0, 10_000, 50_000, 100_000];
    let mut times = vec![Vec::new(); marks.len()];
    for _ in 0..ROUNDS {
        let mut scheduler = cluster()?;
        let mut placed = 0;
        for (at, mark) in marks.iter().enumerate() {
            for wanted in &mut load((mark - placed) / 1000, 1000, placed, placement)? {
                wanted.place(&mut scheduler)?;
            }
            placed = *mark;
            // What is timed comes from elsewhere and goes again, so that every mark is passed alike.
            let mut extra = load(STEP / 1000, 1000, 1_000_000, placement)?;
            for timed in [false, true] {
                let begun = Instant::now();
                for wanted in &mut extra {
                    wanted.place(&mut scheduler)?;
                }
                if timed {
                    times[at].push(begun.elapsed());
                }
                for wanted in &extra {
                    scheduler.remove_instance(&wanted.placed.id);
                }
            }
        }
    }
    for (mark, times) in marks.iter().zip(times) {
        report(&format!("basic, {mark} placed already"), STEP, median(times))?;
    }
    Ok(())
}

async fn with_store(dir: &str, placement: &serde_json::Value) -> Result<(), Failure> {
    let store = RaftStore::open(Options { bootstrap: true, ..Options::new(dir, MemberId(1)) }).await?;
    let (workloads, replicas) = (50, 1000);
    let mut scheduler = cluster()?;
    let mut load = load(workloads, replicas, 0, placement)?;
    let (begun, mut serial) = (Instant::now(), 0);
    for batch in load.chunks_mut(COMMIT) {
        let mut txn = Txn::default();
        for wanted in batch {
            wanted.place(&mut scheduler)?;
            let assignment = &wanted.assignment;
            let key = Key::new(keys::instance(&assignment.org, &assignment.id))?;
            let event = Event {
                at: assignment.created_at,
                kind: EventKind::InstancePlaced,
                severity: Severity::Info,
                workload: Some(assignment.workload.clone()),
                instance: Some(assignment.id.clone()),
                node: assignment.node.clone(),
                message: format!("placed {} on {}", assignment.id, wanted.placed.node),
            };
            serial += 1;
            txn = txn
                .when(Guard::Absent(key.clone()))
                .then(Op::Put { key, value: serde_json::to_vec(assignment)?.into(), lease: None })
                .then(Op::Put {
                    key: Key::new(keys::event(&assignment.org, assignment.created_at, serial))?,
                    value: serde_json::to_vec(&event)?.into(),
                    lease: None,
                });
        }
        store.txn(txn).await?.committed().ok_or("an instance was there already")?;
    }
    report("basic, committed and synced", workloads * replicas, begun.elapsed())?;
    store.close().await;
    Ok(())
}

fn cluster() -> Result<Scheduler, Failure> {
    let mut scheduler = Scheduler::new(7);
    for at in 0..NODES {
        scheduler.upsert_node(NodeInfo {
            id: NodeId::from_bits(at as u128 * 7919 + 1),
            name: format!("n{at}").parse()?,
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
    Ok(scheduler)
}

/// An instance on its way to a node.
struct Wanted {
    request: Request,
    placed: Placed,
    assignment: Assignment,
}

impl Wanted {
    fn place(&mut self, scheduler: &mut Scheduler) -> Result<(), Failure> {
        self.placed.node = scheduler.place(&self.request).map_err(|refused| format!("{refused:?}"))?.node;
        self.assignment.node = Some(self.placed.node.clone());
        scheduler.add_instance(&self.placed).then_some(()).ok_or_else(|| "the node is not known".into())
    }
}

fn load(
    workloads: usize,
    replicas: usize,
    first: usize,
    placement: &serde_json::Value,
) -> Result<Vec<Wanted>, Failure> {
    let mut load = Vec::with_capacity(workloads * replicas);
    for workload in 0..workloads {
        let spec: WorkloadSpec = serde_json::from_value(serde_json::json!({
            "name": format!("w{}", first + workload), "placement": placement,
            "containers": [{"name": "app", "image": "i", "resources": {"cpu": "20m", "memory": "64Mi"}}],
        }))?;
        let mut assignment = Assignment {
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
            created_at: Timestamp::UNIX_EPOCH,
            stop_requested_at: None,
            reason: String::new(),
            lost: false,
        };
        let placed = Placed::of(&assignment, &spec).ok_or("an assignment without a node")?;
        assignment.node = None;
        let request = Request::new(&assignment, &spec).map_err(|fault| fault.to_string())?;
        for replica in 0..replicas {
            let number = ((first + workload) * 1_000_000 + replica) as u128;
            let id = InstanceId::from_bits(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            load.push(Wanted {
                request: request.for_instance(id.clone()),
                placed: Placed { id: id.clone(), ..placed.clone() },
                assignment: Assignment { id, ..assignment.clone() },
            });
        }
    }
    Ok(load)
}
