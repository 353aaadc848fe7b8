//! A scripted operator against planted faults: it finds the cause, applies the fix and sees that all is well, in at
//! most six calls each.

use rmcp::ClientLifecycleMode;
use serde_json::{Value, json};

use crate::harness::{Daemon, PATIENCE};
use crate::mcp::Operator;

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
