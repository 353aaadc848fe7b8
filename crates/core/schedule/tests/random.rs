//! Placements in random clusters, against a naive search and against the rules.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has to stop")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use univrs_model::ids::{InstanceId, NodeId, WorkloadId};
use univrs_model::instance::{Assignment, Desired};
use univrs_model::name::Name;
use univrs_model::node::{Capacity, Location, Role};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::workload::WorkloadSpec;
use univrs_schedule::{Constraint, NodeInfo, Placed, Request, Scheduler};

#[derive(Clone, Debug)]
struct Shape {
    workload: u8,
    cpu: u64,
    memory: u64,
    port: Option<u16>,
    constraint: Option<&'static str>,
    spread: Option<&'static str>,
    anti: Option<&'static str>,
    priority: u8,
    binpack: bool,
}

fn node() -> impl Strategy<Value = NodeInfo> {
    (
        0u64..40,
        0u64..40,
        0u8..3,
        0u8..4,
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        (0u8..10, prop::option::weighted(0.3, 0u32..4)),
    )
        .prop_map(|(cpu, memory, zone, cloud, ready, cordoned, ssd, (role, addresses))| NodeInfo {
            id: NodeId::from_bits(0),
            name: "n".parse().unwrap(),
            roles: vec![if role == 0 { Role::Validator } else { Role::Slim }],
            location: Location {
                cloud: format!("c{cloud}"),
                region: "r".into(),
                zone: format!("z{zone}"),
                operator: "o".into(),
            },
            labels: if ssd { BTreeMap::from([("disk".into(), "ssd".into())]) } else { BTreeMap::new() },
            capacity: Capacity {
                cpu: Cpu::millicores(cpu * 100),
                memory: Bytes::mebibytes(memory * 64),
                disk: Bytes::new(0),
            },
            addresses,
            runtime: role != 1,
            cordoned,
            draining: false,
            ready,
        })
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        (0u8..4, 1u64..12, 1u64..12, prop::option::weighted(0.2, 80u16..83)),
        prop::option::weighted(
            0.3,
            prop::sample::select(vec![
                "zone == z0",
                "cloud in [c0, c1]",
                "label.disk != ssd",
                "label.disk exists",
            ]),
        ),
        prop::option::weighted(
            0.4,
            prop::sample::select(vec!["zone", "zone!", "cloud!", "node!", "label.disk"]),
        ),
        prop::option::weighted(0.3, prop::sample::select(vec!["self", "w0", "w1"])),
        (0u8..3, any::<bool>()),
    )
        .prop_map(|((workload, cpu, memory, port), constraint, spread, anti, (priority, binpack))| {
            Shape { workload, cpu, memory, port, constraint, spread, anti, priority: priority * 40, binpack }
        })
}

#[derive(Clone, Debug)]
enum Step {
    Place(Shape),
    Remove(prop::sample::Index),
    Change(prop::sample::Index, NodeInfo),
    RemoveNode(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => shape().prop_map(Step::Place),
        3 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => (any::<prop::sample::Index>(), node()).prop_map(|(at, node)| Step::Change(at, node)),
        1 => any::<prop::sample::Index>().prop_map(Step::RemoveNode),
    ]
}

fn spec(shape: &Shape) -> WorkloadSpec {
    let ports: Vec<_> = shape
        .port
        .iter()
        .map(|port| serde_json::json!({"name": "p", "container_port": 1, "host_port": port}))
        .collect();
    serde_json::from_value(serde_json::json!({
        "name": format!("w{}", shape.workload), "priority": shape.priority,
        "containers": [{"name": "app", "image": "i", "ports": ports,
            "resources": {"cpu": format!("{}m", shape.cpu * 100), "memory": format!("{}Mi", shape.memory * 64)}}],
        "placement": {
            "constraints": shape.constraint.iter().collect::<Vec<_>>(),
            "spread": shape.spread.iter().collect::<Vec<_>>(),
            "anti_affinity": shape.anti.iter().collect::<Vec<_>>(),
            "strategy": if shape.binpack { "binpack" } else { "spread" },
        },
    }))
    .unwrap()
}

fn assignment(id: u64, spec: &WorkloadSpec) -> Assignment {
    Assignment {
        id: InstanceId::from_bits(u128::from(id)),
        org: Name::default_org(),
        workload_id: WorkloadId::from_bits(1),
        workload: spec.name.clone(),
        workload_revision: 1,
        slot: 0,
        requests: spec.requests(),
        node: None,
        desired: Desired::Run,
        fence: 1,
        created_at: univrs_model::Timestamp::UNIX_EPOCH,
        stop_requested_at: None,
        reason: String::new(),
        lost: false,
    }
}

/// Everything known, held naively.
struct Naive {
    nodes: Vec<NodeInfo>,
    placed: Vec<(Placed, WorkloadSpec)>,
}

impl Naive {
    fn on<'a>(&'a self, node: &'a NodeInfo) -> impl Iterator<Item = &'a (Placed, WorkloadSpec)> {
        self.placed.iter().filter(move |(placed, _)| placed.node == node.id)
    }

    fn passes_fixed(node: &NodeInfo, spec: &WorkloadSpec) -> bool {
        node.ready
            && !node.cordoned
            && node.runtime
            && node.roles != [Role::Validator]
            && spec.placement.constraints.iter().all(|text| Constraint::parse(text).unwrap().holds(node))
    }

    fn value(attribute: &str, node: &NodeInfo) -> Option<String> {
        match attribute {
            "zone" => Some(node.location.zone.clone()),
            "cloud" => Some(node.location.cloud.clone()),
            "node" => Some(node.id.to_string()),
            "label.disk" => node.labels.get("disk").cloned(),
            _ => unreachable!(),
        }
    }

    fn allows(&self, node: &NodeInfo, spec: &WorkloadSpec) -> bool {
        let asked = spec.requests();
        let cpu: u64 = self.on(node).map(|(placed, _)| placed.requests.cpu.as_millicores()).sum();
        let memory: u64 = self.on(node).map(|(placed, _)| placed.requests.memory.get()).sum();
        let anti = |of: &WorkloadSpec, other: &WorkloadSpec| {
            of.placement
                .anti_affinity
                .iter()
                .any(|name| name == other.name.as_str() || name == "self" && of.name == other.name)
        };
        let spread =
            spec.placement.spread.iter().filter_map(|rule| rule.strip_suffix('!')).all(|attribute| {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                for node in self.nodes.iter().filter(|node| Self::passes_fixed(node, spec)) {
                    counts.entry(Self::value(attribute, node).unwrap()).or_default();
                }
                for node in &self.nodes {
                    if let Some(count) = counts.get_mut(&Self::value(attribute, node).unwrap()) {
                        *count += self.on(node).filter(|(placed, _)| placed.workload == spec.name).count();
                    }
                }
                counts.get(&Self::value(attribute, node).unwrap()) == counts.values().min()
            });
        Self::passes_fixed(node, spec)
            && cpu + asked.cpu.as_millicores() <= node.capacity.cpu.as_millicores()
            && memory + asked.memory.get() <= node.capacity.memory.get()
            && node.addresses.is_none_or(|most| self.on(node).count() < most as usize)
            && self.on(node).all(|(placed, _)| {
                placed.requests.host_ports.iter().all(|port| !asked.host_ports.contains(port))
            })
            && self.on(node).all(|(_, other)| !anti(spec, other) && !anti(other, spec))
            && spread
    }

    fn able(&self, spec: &WorkloadSpec) -> Vec<&NodeInfo> {
        self.nodes.iter().filter(|node| self.allows(node, spec)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn placements_are_as_a_naive_search_finds_them(nodes in prop::collection::vec(node(), 1..9), steps in prop::collection::vec(step(), 1..60)) {
        let mut scheduler = Scheduler::new(3);
        let mut naive = Naive { nodes: Vec::new(), placed: Vec::new() };
        for (at, mut info) in nodes.into_iter().enumerate() {
            info.id = NodeId::from_bits(at as u128 + 1);
            scheduler.upsert_node(info.clone());
            naive.nodes.push(info);
        }
        let mut ids = 0;
        for step in steps {
            match step {
                Step::Remove(at) => {
                    if !naive.placed.is_empty() {
                        let (placed, _) = naive.placed.remove(at.index(naive.placed.len()));
                        prop_assert!(scheduler.remove_instance(&placed.id));
                    }
                }
                Step::Change(at, info) => {
                    if !naive.nodes.is_empty() {
                        let known = at.index(naive.nodes.len());
                        // Capacity stays, so that what is placed goes on fitting.
                        let NodeInfo { id, capacity, addresses, .. } = naive.nodes[known].clone();
                        let info = NodeInfo { id, capacity, addresses, ..info };
                        scheduler.upsert_node(info.clone());
                        naive.nodes[known] = info;
                    }
                }
                Step::RemoveNode(at) => {
                    if naive.nodes.len() > 1 {
                        let gone = naive.nodes.remove(at.index(naive.nodes.len()));
                        scheduler.remove_node(&gone.id);
                        naive.placed.retain(|(placed, _)| placed.node != gone.id);
                    }
                }
                Step::Place(shape) => {
                    ids += 1;
                    let spec = spec(&shape);
                    let mut assignment = assignment(ids, &spec);
                    let request = Request::new(&assignment, &spec).unwrap();
                    let able: Vec<NodeId> = naive.able(&spec).iter().map(|node| node.id.clone()).collect();
                    let explanation = scheduler.explain(&request);
                    prop_assert_eq!(explanation.feasible as usize, able.len());
                    prop_assert_eq!(explanation.refused.failed.values().sum::<u32>() as usize, naive.nodes.len() - able.len());
                    // A scheduler without caches, made from scratch, decides the same.
                    let mut fresh = Scheduler::new(3);
                    naive.nodes.iter().for_each(|node| fresh.upsert_node(node.clone()));
                    for (placed, _) in &naive.placed {
                        prop_assert!(fresh.add_instance(placed));
                    }
                    let placed = scheduler.place(&request);
                    let again = fresh.place(&request);
                    match (&placed, &again) {
                        (Ok(placed), Ok(again)) => {
                            prop_assert!(able.contains(&placed.node), "SCH-2");
                            prop_assert_eq!(placed.scores.total(), again.scores.total(), "SCH-4");
                        }
                        (Err(refused), Err(again)) => {
                            prop_assert!(able.is_empty(), "SCH-3: {}", refused);
                            prop_assert_eq!(&refused.failed, &again.failed, "SCH-4");
                        }
                        _ => prop_assert!(false, "SCH-4: {placed:?} against {again:?}"),
                    }
                    if let Ok(placed) = placed {
                        assignment.node = Some(placed.node);
                        let placed = Placed::of(&assignment, &spec).unwrap();
                        prop_assert!(scheduler.add_instance(&placed));
                        naive.placed.push((placed, spec));
                    } else if let Some(preemption) = scheduler.preempt(&request) {
                        // With the victims gone it fits there, and with any one of them still there it does not.
                        let by_id = |id: &InstanceId| naive.placed.iter().position(|(placed, _)| placed.id == *id).unwrap();
                        let victims: Vec<_> = preemption.victims.iter().map(|id| naive.placed[by_id(id)].clone()).collect();
                        prop_assert!(victims.iter().all(|(_, victim)| victim.priority < spec.priority));
                        for victim in &victims {
                            scheduler.remove_instance(&victim.0.id);
                        }
                        let mut there = request.clone();
                        there.pinned = Some(preemption.node.clone());
                        // The victims may be the workload's own, which shifts a required spread.
                        let spreads = spec.placement.spread.iter().any(|rule| rule.ends_with('!'));
                        prop_assert!(spreads || scheduler.place(&there).is_ok());
                        for victim in &victims {
                            scheduler.add_instance(&victim.0);
                            prop_assert!(spreads || victims.len() > 1 || scheduler.place(&there).is_err());
                            scheduler.remove_instance(&victim.0.id);
                            if !spreads && victims.len() > 1 {
                                scheduler.add_instance(&victim.0);
                                prop_assert!(scheduler.place(&there).is_err(), "a victim could stay");
                                scheduler.remove_instance(&victim.0.id);
                            }
                        }
                        for victim in &victims {
                            scheduler.add_instance(&victim.0);
                        }
                    }
                }
            }
            for node in &naive.nodes {
                let cpu: u64 = naive.on(node).map(|(placed, _)| placed.requests.cpu.as_millicores()).sum();
                let memory: u64 = naive.on(node).map(|(placed, _)| placed.requests.memory.get()).sum();
                prop_assert!(node.addresses.is_none_or(|most| naive.on(node).count() <= most as usize));
                prop_assert!(cpu <= node.capacity.cpu.as_millicores() && memory <= node.capacity.memory.get(), "SCH-1");
            }
            prop_assert_eq!(scheduler.instance_count(), naive.placed.len());
            prop_assert_eq!(scheduler.node_count(), naive.nodes.len());
        }
    }
}
