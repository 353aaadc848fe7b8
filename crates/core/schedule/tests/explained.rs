//! What people are told about placements, and what is preferred.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has to stop")]

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use univrs_model::ids::{InstanceId, NodeId, WorkloadId};
use univrs_model::instance::{Assignment, Desired};
use univrs_model::name::Name;
use univrs_model::node::{Capacity, Location, Role};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::workload::WorkloadSpec;
use univrs_schedule::{NodeInfo, Placed, Request, Scheduler, check_placement};

fn node(at: u32, zone: &str, cpu: u64) -> NodeInfo {
    NodeInfo {
        id: NodeId::from_bits(u128::from(at)),
        name: format!("n{at}").parse().unwrap(),
        roles: vec![Role::Business],
        location: Location { zone: zone.into(), ..Location::default() },
        labels: BTreeMap::new(),
        capacity: Capacity { cpu: Cpu::millicores(cpu), memory: Bytes::mebibytes(1024), disk: Bytes::new(0) },
        addresses: None,
        runtime: true,
        cordoned: false,
        draining: false,
        ready: true,
    }
}

fn spec(name: &str, cpu: &str, placement: serde_json::Value) -> WorkloadSpec {
    serde_json::from_value(serde_json::json!({"name": name, "placement": placement,
        "containers": [{"name": "app", "image": "i", "resources": {"cpu": cpu, "memory": "64Mi"}}]}))
    .unwrap()
}

fn assignment(id: u128, spec: &WorkloadSpec) -> Assignment {
    Assignment {
        id: InstanceId::from_bits(id),
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

/// Places so many instances one after another and tells where each went.
fn place(scheduler: &mut Scheduler, spec: &WorkloadSpec, first: u128, count: u128) -> String {
    let mut told = Vec::new();
    for id in first..first + count {
        let mut assignment = assignment(id, spec);
        let request = Request::new(&assignment, spec).unwrap();
        match scheduler.place(&request) {
            Ok(placement) => {
                let best = scheduler.explain(&request).best;
                let name = best.iter().find(|best| best.node == placement.node).unwrap().name.clone();
                told.push(name.to_string());
                assignment.node = Some(placement.node);
                assert!(scheduler.add_instance(&Placed::of(&assignment, spec).unwrap()));
            }
            Err(refused) => told.push(format!("({refused})")),
        }
    }
    told.join(" ")
}

fn check(nodes: &[NodeInfo], specs: &[(WorkloadSpec, u128)], expected: &Expect) {
    let mut scheduler = Scheduler::new(1);
    nodes.iter().for_each(|node| scheduler.upsert_node(node.clone()));
    let lines: Vec<String> = specs
        .iter()
        .enumerate()
        .map(|(at, (spec, count))| place(&mut scheduler, spec, 1000 * at as u128, *count))
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn refusals_count_and_name_the_nearest() {
    let mut nodes = vec![
        node(1, "a", 1000),
        node(2, "a", 500),
        node(3, "b", 4000),
        node(4, "b", 4000),
        node(5, "b", 4000),
    ];
    nodes[2].cordoned = true;
    nodes[3].ready = false;
    nodes[4].roles = vec![Role::Validator];
    check(
        &nodes,
        &[(spec("big", "1500m", serde_json::json!({})), 1)],
        &expect![
            "(no node fits: of 5 nodes 1 not ready, 1 cordoned, 1 not for workloads, 2 short of cpu; nearest is n1, short of 500m cpu)"
        ],
    );
    check(
        &nodes,
        &[(spec("far", "1", serde_json::json!({"constraints": ["zone == c"]})), 1)],
        &expect![
            "(no node fits: of 5 nodes 1 not ready, 1 cordoned, 1 not for workloads, 2 excluded by a constraint (`zone == c`))"
        ],
    );
    check(&[], &[(spec("none", "1", serde_json::json!({})), 1)], &expect!["(there are no nodes)"]);
    check(
        &[node(1, "a", 1000)],
        &[(spec("twice", "1m", serde_json::json!({"anti_affinity": ["self"]})), 2)],
        &expect!["n1 (no node fits: of 1 node 1 kept apart by anti-affinity)"],
    );
}

#[test]
fn a_node_without_addresses_takes_nobody_until_one_goes() {
    let mut small = node(1, "a", 1000);
    small.addresses = Some(2);
    let two = spec("two", "1m", serde_json::json!({}));
    check(
        std::slice::from_ref(&small),
        &[(two.clone(), 3)],
        &expect!["n1 n1 (no node fits: of 1 node 1 out of addresses for instances)"],
    );
    let mut scheduler = Scheduler::new(1);
    scheduler.upsert_node(small);
    place(&mut scheduler, &two, 1, 2);
    let mut urgent = spec("urgent", "1m", serde_json::json!({}));
    urgent.priority = two.priority + 1;
    let request = Request::new(&assignment(9, &urgent), &urgent).unwrap();
    assert_eq!(scheduler.preempt(&request).unwrap().victims.len(), 1);
    urgent.priority = two.priority;
    let request = Request::new(&assignment(9, &urgent), &urgent).unwrap();
    assert!(scheduler.preempt(&request).is_none());
}

#[test]
fn an_explanation_counts_constraints_and_scores() {
    let mut scheduler = Scheduler::new(1);
    for at in 1..=6 {
        scheduler.upsert_node(node(at, if at % 2 == 0 { "a" } else { "b" }, 1000 * u64::from(at)));
    }
    let spec = spec("web", "500m", serde_json::json!({"constraints": ["zone == a", "name != n2"]}));
    let explanation = scheduler.explain(&Request::new(&assignment(1, &spec), &spec).unwrap());
    assert_eq!((explanation.nodes, explanation.feasible), (6, 2));
    let refused = explanation.refused;
    expect![[r#"
        {Constraint: 4}
        {"name != n2": 1, "zone == a": 3}"#]]
    .assert_eq(&format!("{:?}\n{:?}", refused.failed, refused.constraints));
    let best: Vec<String> =
        explanation.best.iter().map(|best| format!("{} {:?}", best.name, best.scores)).collect();
    expect![[r#"
        n6 Scores { fit: 916667, affinity: 0, spread: 0, siblings: 0 }
        n4 Scores { fit: 875000, affinity: 0, spread: 0, siblings: 0 }"#]]
    .assert_eq(&best.join("\n"));
}

#[test]
fn preferences() {
    let zones = [node(1, "a", 4000), node(2, "a", 4000), node(3, "b", 4000), node(4, "c", 1000)];
    let web = |placement| (spec("web", "100m", placement), 6);
    // Levelled by share, filled, spread by zone (wanted and required), near another.
    check(&zones, &[web(serde_json::json!({}))], &expect!["n3 n1 n2 n4 n3 n1"]);
    check(&zones, &[web(serde_json::json!({"strategy": "binpack"}))], &expect!["n4 n4 n4 n4 n4 n4"]);
    check(&zones, &[web(serde_json::json!({"spread": ["zone"]}))], &expect!["n3 n1 n4 n2 n3 n4"]);
    let tight = (spec("web", "400m", serde_json::json!({"spread": ["zone!"]})), 10);
    check(
        &zones,
        &[tight],
        &expect![
            "n3 n1 n4 n2 n3 n4 n1 n3 (no node fits: of 4 nodes 1 short of cpu, 3 would make the required spread uneven; nearest is n4, short of 200m cpu) (no node fits: of 4 nodes 1 short of cpu, 3 would make the required spread uneven; nearest is n4, short of 200m cpu)"
        ],
    );
    let db = (spec("db", "2", serde_json::json!({"constraints": ["zone == b"]})), 1);
    check(
        &zones,
        &[db, web(serde_json::json!({"affinity": ["db"]}))],
        &expect![[r#"
            n3
            n3 n3 n3 n3 n3 n3"#]],
    );
}

#[test]
fn those_who_keep_others_away_are_left_alone() {
    let nodes = [node(1, "a", 4000), node(2, "a", 4000)];
    let shy = (
        spec("shy", "100m", serde_json::json!({"anti_affinity": ["web"], "constraints": ["name == n1"]})),
        1,
    );
    let web = (spec("web", "100m", serde_json::json!({})), 3);
    check(
        &nodes,
        &[shy, web],
        &expect![[r#"
        n1
        n2 n2 n2"#]],
    );
}

#[test]
fn faulty_rules_are_named() {
    let placement = serde_json::from_value(serde_json::json!({
        "constraints": ["zone == a", "zoen == a"], "spread": ["zone!", "rack"], "anti_affinity": ["self", "No"]}));
    let faults: Vec<String> = check_placement(&placement.unwrap()).iter().map(ToString::to_string).collect();
    expect![[r#"
        placement.constraints[1]: `zoen` is not an attribute of a node
        placement.spread[1]: `rack` is not an attribute of a node
        placement.anti_affinity[1]: `No` is not a DNS label: it has upper-case letters; use 1 to 63 of a-z, 0-9 and `-`, not at the ends"#]].assert_eq(&faults.join("\n"));
}
