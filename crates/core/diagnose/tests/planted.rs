//! Faults planted in a picture: each is found, named by its root, and comes with a way out.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use univrs_diagnose::{Code, Placement, Snapshot, WorkloadFacts, find};
use univrs_model::Timestamp;
use univrs_model::ids::{InstanceId, NodeId, WorkloadId};
use univrs_model::instance::InstanceView;
use univrs_model::node::NodeView;
use univrs_model::rollout::WorkloadView;

const NOW: &str = "2026-01-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn merged(mut base: Value, over: Value) -> Value {
    for (key, value) in over.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

fn node(number: u128, over: Value) -> NodeView {
    let base = json!({
        "id": NodeId::from_bits(number), "name": format!("n{number}"), "roles": ["business"],
        "location": {"cloud": "aws", "region": "us-east-1", "zone": "a", "operator": "me"},
        "capacity": {"cpu": "4", "memory": "8Gi", "disk": "100Gi"}, "runtime": "oci",
        "api_address": "127.0.0.1:8080", "version": "1", "labels": {}, "created_at": NOW, "revision": 1,
        "updated_at": NOW, "state": "ready", "cordoned": false, "draining": false,
        "requested": {"cpu": "1", "memory": "1Gi", "disk": "0"}, "instances": 1
    });
    serde_json::from_value(merged(base, over)).unwrap()
}

fn workload(name: &str, spec: Value, over: Value) -> WorkloadFacts {
    let spec = merged(json!({"name": name, "image": "web:1"}), spec);
    let base = json!({
        "id": WorkloadId::from_bits(1), "name": name, "org": "default", "revision": 1, "created_at": NOW,
        "updated_at": NOW, "spec": spec, "generation": 1, "observed_generation": 1, "status": "progressing",
        "message": "", "version": 1, "reverted_from": null, "replicas": 1, "instances": 1, "ready": 0, "updated": 1
    });
    let view: WorkloadView = serde_json::from_value(merged(base, over)).unwrap();
    let instances = Vec::new();
    WorkloadFacts {
        view,
        instances,
        placement: Placement::default(),
        progressed_at: Some(now()),
        next_runs: vec![],
    }
}

fn instance(workload: &str, over: Value) -> InstanceView {
    let base = json!({
        "id": InstanceId::from_bits(1), "workload": workload, "workload_revision": 1, "node": NodeId::from_bits(1),
        "node_name": "n1", "cloud": "aws", "region": "us-east-1", "address": null, "phase": "running",
        "health": "none", "image": "web:1", "started_at": NOW, "exit_code": null, "restarts": 0,
        "reachable": true, "message": "", "created_at": NOW
    });
    serde_json::from_value(merged(base, over)).unwrap()
}

fn placement(filtered: &[(&str, u32)], constraints: &[(&str, u32)]) -> Placement {
    let counts = |counts: &[(&str, u32)]| -> BTreeMap<String, u32> {
        counts.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
    };
    Placement { nodes: 1, feasible: 0, filtered: counts(filtered), constraints: counts(constraints) }
}

fn pending(name: &str, spec: Value, placement: Placement) -> WorkloadFacts {
    let waits = instance(name, json!({"phase": "pending", "node": null, "node_name": null}));
    WorkloadFacts { instances: vec![waits], placement, ..workload(name, spec, json!({})) }
}

fn running(name: &str, over: Value) -> WorkloadFacts {
    WorkloadFacts { instances: vec![instance(name, over)], ..workload(name, json!({}), json!({})) }
}

fn picture(nodes: Vec<NodeView>, workloads: Vec<WorkloadFacts>) -> Snapshot {
    Snapshot { now: now(), nodes, workloads, secrets: None }
}

/// Each planted fault with what must be found first and a word of its fix.
fn planted() -> Vec<(&'static str, Snapshot, Code, &'static str)> {
    let one = || vec![node(1, json!({}))];
    let with = |facts: WorkloadFacts| picture(one(), vec![facts]);
    let said = |message: &str| json!({"message": message});
    vec![
        (
            "image missing",
            with(running(
                "web",
                json!({"phase": "pulling", "message": "waiting for its images: image `web:9` was not found in the registry"}),
            )),
            Code::ImageMissing,
            "name an image that exists",
        ),
        (
            "image missing for good",
            with(running(
                "web",
                json!({"phase": "failed", "message": "cannot prepare its images: image `web:9` was not found here"}),
            )),
            Code::ImageMissing,
            "univrs image ls",
        ),
        (
            "crash loop",
            with(running(
                "web",
                json!({"restarts": 7, "exit_code": 3, "message": "app ended with code 3; restart 8 is due at x"}),
            )),
            Code::CrashLoop,
            "log",
        ),
        (
            "out of memory",
            with(running(
                "web",
                json!({"restarts": 4, "exit_code": 137, "message": "app was killed: out of memory; restart 5 is due at x"}),
            )),
            Code::OutOfMemory,
            "memory_limit",
        ),
        (
            "failing health",
            with(running("web", json!({"health": "failing", "message": "app fails its check: status 500"}))),
            Code::FailingHealth,
            "port and path",
        ),
        (
            "cannot start",
            with(running(
                "web",
                said("app cannot start: executable `/nope` was not found; restart 2 is due at x"),
            )),
            Code::CannotStart,
            "command",
        ),
        (
            "full node",
            with(pending("web", json!({}), placement(&[("short of memory", 1)], &[]))),
            Code::NoRoom,
            "add a node",
        ),
        (
            "cut-off node",
            picture(
                vec![node(1, json!({"state": "lost"}))],
                vec![running("web", json!({"reachable": false}))],
            ),
            Code::NodeCutOff,
            "start its daemon",
        ),
        (
            "port clash",
            with(pending(
                "web",
                json!({"image": null, "containers": [{"name": "app", "image": "web:1",
                    "ports": [{"name": "http", "container_port": 80, "host_port": 8080}]}]}),
                placement(&[("host port taken", 1)], &[]),
            )),
            Code::PortClash,
            "host_port",
        ),
        (
            "secret missing",
            Snapshot {
                secrets: Some(std::collections::BTreeSet::new()),
                ..with(workload("web", json!({"secrets": [{"name": "db", "env": "DB"}]}), json!({})))
            },
            Code::SecretMissing,
            "univrs secret set db",
        ),
        (
            "stuck rollout",
            with(WorkloadFacts {
                progressed_at: Some("2026-01-01T11:58:00Z".parse().unwrap()),
                ..workload("web", json!({}), json!({"message": "0 of 1 ready"}))
            }),
            Code::RolloutStuck,
            "workload_rollback",
        ),
        (
            "rollout taken back",
            with(workload(
                "web",
                json!({}),
                json!({"status": "reverted", "ready": 1, "reverted_from": 2, "message": "version 2 failed: x"}),
            )),
            Code::RolloutReverted,
            "update again",
        ),
        (
            "disk pressure",
            picture(
                vec![node(1, json!({"requested": {"cpu": "1", "memory": "1Gi", "disk": "95Gi"}}))],
                vec![],
            ),
            Code::DiskPressure,
            "free space",
        ),
        (
            "disk full",
            with(running(
                "web",
                json!({"phase": "pulling", "message": "waiting for its images: failed to write x: No space left on device"}),
            )),
            Code::DiskPressure,
            "free space",
        ),
        (
            "wrong constraint",
            with(pending(
                "web",
                json!({"placement": {"constraints": ["region == us-eats-1"]}}),
                placement(&[("excluded by a constraint", 1)], &[("region == us-eats-1", 1)]),
            )),
            Code::WrongConstraint,
            "did you mean `us-east-1`",
        ),
        (
            "dependency does not exist",
            with(workload(
                "web",
                json!({"depends_on": [{"workload": "db"}]}),
                json!({"status": "pending", "instances": 0, "message": "waiting for db, which does not exist"}),
            )),
            Code::DependencyUnmet,
            "deploy `db`",
        ),
        (
            "cron that never fires",
            with(workload(
                "job",
                json!({"kind": "cron", "schedule": {"cron": "0 0 31 2 *"}}),
                json!({"status": "failed", "ready": 1}),
            )),
            Code::CronNeverFires,
            "schedule.cron",
        ),
        (
            "cron whose run does not end",
            with(WorkloadFacts {
                next_runs: vec![
                    "2026-01-01T12:01:00Z".parse().unwrap(),
                    "2026-01-01T12:02:00Z".parse().unwrap(),
                ],
                ..merge_cron(running("job", json!({"created_at": "2026-01-01T11:00:00Z"})))
            }),
            Code::CronBlocked,
            "schedule.overlap",
        ),
        (
            "nodes closed",
            with(pending("web", json!({}), placement(&[("cordoned", 1)], &[]))),
            Code::NodesClosed,
            "uncordon",
        ),
        (
            "kept apart",
            with(pending("web", json!({}), placement(&[("kept apart by anti-affinity", 1)], &[]))),
            Code::KeptApart,
            "lower `replicas`",
        ),
    ]
}

fn merge_cron(mut facts: WorkloadFacts) -> WorkloadFacts {
    let spec = json!({"name": "job", "image": "job:1", "kind": "cron", "schedule": {"cron": "* * * * *"}});
    facts.view.spec = serde_json::from_value(spec).unwrap();
    facts
}

#[test]
fn every_planted_fault_is_found_with_its_cause_and_a_fix() {
    for (fault, snapshot, code, fix) in planted() {
        let found = find(&snapshot);
        let first = found.first().unwrap_or_else(|| panic!("{fault}: nothing was found"));
        assert_eq!(first.code, code, "{fault}: {found:#?}");
        assert!(first.fix.contains(fix), "{fault}: {}", first.fix);
        assert!(!first.cause.is_empty() && !first.next.is_empty(), "{fault}");
        let tool = first.next.split(' ').next().unwrap();
        assert!(tool.contains('_'), "{fault}: {}", first.next);
    }
}

#[test]
fn a_dependency_leads_to_its_own_cause() {
    let db = running(
        "db",
        json!({"restarts": 9, "exit_code": 1, "message": "app ended with code 1; restart 9 is due"}),
    );
    let web = workload(
        "web",
        json!({"depends_on": [{"workload": "db"}]}),
        json!({"status": "pending", "instances": 0, "message": "waiting for db to be healthy"}),
    );
    let found = find(&picture(vec![node(1, json!({}))], vec![web, db]));
    let codes: Vec<(Code, &str)> = found.iter().map(|one| (one.code, one.subject.as_str())).collect();
    assert_eq!(codes, [(Code::CrashLoop, "workload/db"), (Code::DependencyUnmet, "workload/web")]);
    assert!(found[1].next.contains("db"), "{}", found[1].next);
}

#[test]
fn what_is_well_is_left_alone() {
    let well = |name: &str, over: Value| {
        let mut facts = running(name, over);
        facts.view.status = univrs_model::rollout::WorkloadStatus::Running;
        facts.view.ready = 1;
        facts
    };
    let snapshot = picture(
        vec![node(1, json!({})), node(2, json!({"cordoned": true}))],
        vec![
            well("web", json!({"health": "passing", "message": "best of the nodes that fit: fit 0.9"})),
            // It stumbled at its start and serves since.
            well("late", json!({"restarts": 5, "health": "passing"})),
            well("young", json!({"health": "starting"})),
        ],
    );
    assert_eq!(find(&snapshot), []);
}
