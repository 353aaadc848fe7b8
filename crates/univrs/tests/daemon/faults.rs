//! A scripted operator against planted faults: it finds the cause, applies the fix and sees that all is well, in at
//! most six calls each. What only a person may do, a person does between two calls, as the fix says it. A node that is
//! cut off is planted in the tests of clusters.

use reqwest::{Method, StatusCode};
use rmcp::ClientLifecycleMode;
use serde_json::{Value, json};
use univrs_model::quantity::Bytes;

use crate::harness::{Daemon, PATIENCE};
use crate::mcp::Operator;
use crate::resources::rehearsal;

/// Most calls to solve a fault.
const CALLS: usize = 6;

/// A fault: what is planted, what must be found about which workload, and the tool call that mends it.
struct Fault {
    planted: Vec<Value>,
    code: &'static str,
    workload: &'static str,
    fix: (&'static str, Value),
}

fn faults() -> Vec<Fault> {
    let always = json!({"policy": "always", "initial": "10ms", "max": "10ms"});
    let port = |name: &str| {
        json!({"name": name, "containers": [{"name": "app", "image": "web:1",
            "ports": [{"name": "http", "container_port": 80, "host_port": 18080}]}]})
    };
    vec![
        Fault {
            planted: vec![json!({"name": "absent", "image": "sim/absent:1"})],
            code: "image_missing",
            workload: "absent",
            fix: ("workload_update", json!({"name": "absent", "image": "web:1"})),
        },
        Fault {
            planted: vec![json!({"name": "crash", "image": "sim/exit:3", "restart": always})],
            code: "crash_loop",
            workload: "crash",
            fix: ("workload_update", json!({"name": "crash", "image": "web:1"})),
        },
        Fault {
            planted: vec![json!({"name": "start", "image": "sim/fail:no-such-program", "restart": always})],
            code: "cannot_start",
            workload: "start",
            fix: ("workload_update", json!({"name": "start", "image": "web:1"})),
        },
        Fault {
            planted: vec![json!({"name": "sick", "containers": [{"name": "app", "image": "web:1",
                "health": {"exec": {"command": ["false"]}, "interval": "100ms", "retries": 1}}]})],
            code: "failing_health",
            workload: "sick",
            fix: (
                "workload_update",
                json!({"name": "sick", "patch": {"containers": [{"name": "app", "image": "web:1",
                    "health": {"exec": {"command": ["true"]}, "interval": "100ms", "retries": 1}}]}}),
            ),
        },
        Fault {
            planted: vec![json!({"name": "huge", "containers": [{"name": "app", "image": "web:1",
                "resources": {"cpu": "1000", "memory": "64Mi"}}]})],
            code: "no_room",
            workload: "huge",
            fix: (
                "workload_update",
                json!({"name": "huge", "patch": {"containers": [{"name": "app", "image": "web:1"}]}}),
            ),
        },
        Fault {
            planted: vec![port("first"), port("second")],
            code: "port_clash",
            workload: "second",
            fix: (
                "workload_update",
                json!({"name": "second", "patch": {"containers": [{"name": "app", "image": "web:1",
                    "ports": [{"name": "http", "container_port": 80}]}]}}),
            ),
        },
        Fault {
            planted: vec![json!({"name": "far", "image": "web:1",
                "placement": {"constraints": ["region == locla"]}})],
            code: "wrong_constraint",
            workload: "far",
            fix: (
                "workload_update",
                json!({"name": "far", "patch": {"placement": {"constraints": ["region == local"]}}}),
            ),
        },
        Fault {
            planted: vec![json!({"name": "needy", "image": "web:1",
                "depends_on": [{"workload": "base", "condition": "healthy"}]})],
            code: "dependency_unmet",
            workload: "needy",
            fix: ("workload_deploy", json!({"name": "base", "image": "web:1"})),
        },
        Fault {
            planted: vec![json!({"name": "apart", "image": "web:1", "replicas": 2,
                "placement": {"anti_affinity": ["self"]}})],
            code: "kept_apart",
            workload: "apart",
            fix: ("workload_scale", json!({"name": "apart", "replicas": 1})),
        },
    ]
}

#[tokio::test]
async fn every_planted_fault_is_solved_in_few_calls() {
    let daemon = Daemon::start().await;
    for fault in faults() {
        let begun = std::time::Instant::now();
        for spec in &fault.planted {
            let answer = daemon.post("/api/workloads", &spec.to_string()).await;
            assert!(answer.status.is_success(), "{}", answer.body);
            daemon
                .until("it is taken up", async || {
                    let name = spec["name"].as_str().unwrap();
                    daemon.get(&format!("/api/workloads/{name}")).await.body["observed_generation"] == 1
                })
                .await;
        }
        // Some faults take a moment to show; an operator that is called comes after that.
        let path = format!("/api/problems?workload={}", fault.workload);
        daemon
            .until(fault.code, async || daemon.get(&path).await.body["items"][0]["code"] == fault.code)
            .await;

        // What fails and begins again may look well, or ill in another way, for a moment.
        let (mut operator, found) = loop {
            let mut operator = Operator::over_http(&daemon, "operate", ClientLifecycleMode::Initialize).await;
            let found = operator.call("find_problems", json!({"workload": fault.workload})).await.unwrap();
            if found["items"][0]["code"] == fault.code {
                break (operator, found);
            }
            assert!(begun.elapsed() < PATIENCE, "{}: {found:#}", fault.code);
        };
        let problem = &found["items"][0];
        for told in ["cause", "fix", "next"] {
            assert!(!problem[told].as_str().unwrap().is_empty(), "{problem:#}");
        }
        let (tool, arguments) = fault.fix;
        let plan = operator.call(tool, arguments).await.unwrap();
        operator.apply(&plan, 300).await.unwrap_or_else(|refusal| panic!("{}: {refusal}", fault.code));
        loop {
            // An operator on a busy machine has more patience than calls.
            daemon.until("all is well", async || daemon.get(&path).await.body["items"] == json!([])).await;
            let left = operator.call("find_problems", json!({"workload": fault.workload})).await.unwrap();
            if left["items"] == json!([]) {
                break;
            }
            assert!(operator.calls < CALLS, "{}: {} calls and still {left:#}", fault.code, operator.calls);
        }
        for spec in &fault.planted {
            let path = format!("/api/workloads/{}", spec["name"].as_str().unwrap());
            daemon.send(daemon.request(reqwest::Method::DELETE, &path)).await;
        }
    }
}

/// What is told of a subject under a code.
fn told(list: &Value, code: &str, subject: &str) -> Option<Value> {
    let mut items = list["items"].as_array().into_iter().flatten();
    items.find(|one| one["code"] == code && one["subject"] == subject).cloned()
}

/// An operator that is called once a fault shows, and what it finds of it.
async fn called(daemon: &Daemon, code: &str, subject: &str) -> (Operator, Value) {
    daemon.until(code, async || told(&daemon.get("/api/problems").await.body, code, subject).is_some()).await;
    let mut operator = Operator::over_http(daemon, "operate", ClientLifecycleMode::Initialize).await;
    let found = operator.call("find_problems", json!({})).await.unwrap();
    let problem = told(&found, code, subject).unwrap_or_else(|| panic!("{code}: {found:#}"));
    for said in ["cause", "fix", "next"] {
        assert!(!problem[said].as_str().unwrap().is_empty(), "{problem:#}");
    }
    (operator, problem)
}

/// The operator sees that it is mended, in few calls in all.
async fn mended(daemon: &Daemon, mut operator: Operator, code: &str, subject: &str) {
    daemon
        .until("it is mended", async || {
            told(&daemon.get("/api/problems").await.body, code, subject).is_none()
        })
        .await;
    let left = operator.call("find_problems", json!({})).await.unwrap();
    assert_eq!(told(&left, code, subject), None, "{left:#}");
    assert!(operator.calls <= CALLS, "{code}: {} calls", operator.calls);
}

#[tokio::test]
async fn a_secret_that_is_missing_is_set_by_a_person() {
    let daemon = Daemon::start().await;
    let spec = json!({"name": "needs", "image": "web:1", "secrets": [{"name": "db", "env": "DB_URL"}]});
    assert_eq!(daemon.post("/api/workloads", &spec.to_string()).await.status, StatusCode::CREATED);
    let (operator, problem) = called(&daemon, "secret_missing", "workload/needs").await;
    assert!(problem["fix"].as_str().unwrap().contains("univrs secret set db"), "{problem:#}");
    assert!(crate::secrets::set(&daemon, "db", "postgres://x").await.status.is_success());
    daemon.until_status("needs", "running").await;
    mended(&daemon, operator, "secret_missing", "workload/needs").await;
}

#[tokio::test]
async fn a_rollout_that_does_not_move_is_taken_back() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"slow","image":"web:1"}"#).await;
    daemon.until_status("slow", "running").await;
    // It runs and nothing is wrong with it; it only never counts.
    let update = json!({"image": "web:2", "update": {"min_healthy": "2h", "deadline": "2s"}});
    let patch = daemon.request(Method::PATCH, "/api/workloads/slow").body(update.to_string());
    assert_eq!(daemon.send(patch).await.status, StatusCode::OK);
    let (mut operator, problem) = called(&daemon, "rollout_stuck", "workload/slow").await;
    assert!(problem["fix"].as_str().unwrap().contains("workload_rollback"), "{problem:#}");
    let plan = operator.call("workload_rollback", json!({"name": "slow"})).await.unwrap();
    operator.apply(&plan, 300).await.unwrap();
    assert_eq!(daemon.get("/api/workloads/slow").await.body["spec"]["image"], "web:1");
    mended(&daemon, operator, "rollout_stuck", "workload/slow").await;
}

#[tokio::test]
async fn a_disk_that_is_promised_away_is_freed() {
    let daemon = Daemon::start().await;
    let disk: Bytes =
        daemon.get("/api/nodes/one").await.body["capacity"]["disk"].as_str().unwrap().parse().unwrap();
    let size = (disk.get() / 100 * 95).to_string();
    let spec = json!({"name": "hoard", "containers": [{"name": "app", "image": "db:1",
        "mounts": [{"volume": "data", "path": "/data"}]}], "volumes": [{"name": "data", "size": size}]});
    let made = daemon.post("/api/workloads", &spec.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    daemon.until_status("hoard", "running").await;
    let (mut operator, problem) = called(&daemon, "disk_pressure", "node/one").await;
    assert!(problem["cause"].as_str().unwrap().contains("is promised to volumes"), "{problem:#}");
    let plan = operator.call("workload_delete", json!({"name": "hoard"})).await.unwrap();
    let approve = format!("/api/plans/{}/approve", plan["plan_id"].as_str().unwrap());
    assert_eq!(daemon.post(&approve, "{}").await.status, StatusCode::OK);
    operator.apply(&plan, 300).await.unwrap();
    mended(&daemon, operator, "disk_pressure", "node/one").await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_before_and_when_it_refuses() {
    let (daemon, _templates) = rehearsal().await;
    let quota = async |most: u32| {
        let body = json!({"resources": most}).to_string();
        let set = daemon.request(Method::PUT, "/api/orgs/default/quota").body(body);
        assert_eq!(daemon.send(set).await.status, StatusCode::OK);
    };
    quota(1).await;
    let first = json!({"name": "first", "template": "plain", "provider": "mesh", "parameters": {}});
    assert_eq!(daemon.post("/api/resources", &first.to_string()).await.status, StatusCode::ACCEPTED);
    let (mut operator, problem) = called(&daemon, "quota_reached", "org/default").await;
    assert!(problem["cause"].as_str().unwrap().contains("resources: 1 of 1"), "{problem:#}");
    let second = json!({"name": "second", "template": "plain", "provider": "mesh"});
    let refused = operator.call("resource_create", second.clone()).await.unwrap_err();
    assert!(refused.contains("(quota)") && refused.contains("next: "), "{refused}");
    quota(2).await;
    let plan = operator.call("resource_create", second).await.unwrap();
    assert_eq!(plan["status"], "ready", "{plan:#}");
    mended(&daemon, operator, "quota_reached", "org/default").await;
}

#[tokio::test]
async fn a_token_that_is_used_after_its_end_is_replaced() {
    let daemon = Daemon::start().await;
    let token = async |ttl: &str| {
        let body = json!({"name": "ci", "grant": "operate", "ttl": ttl}).to_string();
        daemon.post("/api/tokens", &body).await.body["token"].as_str().unwrap().to_owned()
    };
    let looks = async |token: &str| {
        daemon.send(daemon.request(Method::GET, "/api/workloads").bearer_auth(token)).await
    };
    let old = token("1s").await;
    daemon.until("it has ended", async || looks(&old).await.status == StatusCode::UNAUTHORIZED).await;
    // Who has it is told so, also behind standard input and output.
    let with = format!("token {old}");
    let mut late = Operator::over_stdio(&daemon, &with, ClientLifecycleMode::Initialize).await;
    let refused = late.call("find_problems", json!({})).await.unwrap_err();
    assert!(refused.contains("expired at") && refused.contains("univrs token create"), "{refused}");
    // So is who is asked why nothing comes through any more.
    let (operator, problem) = called(&daemon, "token_expired", "token/ci").await;
    assert_eq!(problem["next"], "univrs token create ci --grant operate", "{problem:#}");
    let new = token("1h").await;
    assert_eq!(looks(&new).await.status, StatusCode::OK);
    mended(&daemon, operator, "token_expired", "token/ci").await;
}
