//! Workloads move to what is wanted and stay there, through changes of mind and crashes of the daemon.

use reqwest::{Method, StatusCode};

use crate::harness::{Daemon, free_port, univrs};

#[tokio::test]
async fn the_seed_call_runs_two_replicas() {
    let daemon = Daemon::start().await;
    let body = r#"{"name":"orchestrator-canary","image":"orchestrator:dev","replicas":2}"#;
    assert_eq!(daemon.post("/api/workloads", body).await.status, StatusCode::CREATED);
    daemon.until_status("orchestrator-canary", "running").await;
    let instances = daemon.get("/api/workloads/orchestrator-canary/instances").await.body;
    assert_eq!(instances["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn nothing_is_lost_when_the_daemon_is_killed() {
    let mut daemon = Daemon::start().await;
    for name in ["a", "b", "c"] {
        let body = format!(r#"{{"name":"{name}","image":"{name}:1","replicas":2}}"#);
        assert_eq!(daemon.post("/api/workloads", &body).await.status, StatusCode::CREATED);
    }
    daemon.crash_and_restart().await;
    for name in ["a", "b", "c"] {
        daemon.until_status(name, "running").await;
    }
    let list = daemon.get("/api/workloads").await.body;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn what_no_node_can_hold_waits_with_the_reason() {
    let daemon = Daemon::start().await;
    let body = r#"{"name":"big","containers":[{"name":"app","image":"big:1","resources":{"cpu":"5000"}}]}"#;
    assert_eq!(daemon.post("/api/workloads", body).await.status, StatusCode::CREATED);
    daemon
        .until("the reason is told", async || {
            let explained = daemon.get("/api/workloads/big/explain").await.body;
            let waits = explained["instances"][0]["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("short of cpu"));
            waits && explained["next"]["filtered"]["short of cpu"] == 1
        })
        .await;
    daemon
        .until("the instance says so too", async || {
            let instances = daemon.get("/api/workloads/big/instances").await.body;
            let one = &instances["items"][0];
            one["phase"] == "pending" && one["message"].as_str().is_some_and(|m| m.contains("short of cpu"))
        })
        .await;
}

#[tokio::test]
async fn scaling_and_removing_settle() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1","replicas":3}"#).await;
    daemon.until_status("web", "running").await;
    let answer = daemon.post("/api/workloads/web/scale", r#"{"replicas":1}"#).await;
    assert_eq!(answer.status, StatusCode::OK);
    daemon
        .until("one is left", async || {
            let view = daemon.get("/api/workloads/web").await.body;
            view["instances"] == 1 && view["status"] == "running"
        })
        .await;
    let answer = daemon.send(daemon.request(Method::DELETE, "/api/workloads/web")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    daemon
        .until("it is gone", async || daemon.get("/api/workloads/web").await.status == StatusCode::NOT_FOUND)
        .await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let daemon = Daemon::start().await;
    let plan = daemon.post("/api/workloads?dry_run=true", r#"{"name":"web","image":"web:1"}"#).await;
    assert_eq!(plan.status, StatusCode::OK);
    assert_eq!(plan.body["changes"][0]["action"], "create");
    assert!(plan.body["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(daemon.get("/api/workloads/web").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_write_leaves_one_audit_entry() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1"}"#).await;
    daemon.post("/api/workloads/web/scale", r#"{"replicas":2}"#).await;
    daemon.post("/api/workloads/web/scale", r#"{"replicas":2}"#).await;
    let audit = daemon.get("/api/audit").await.body;
    let of_web: Vec<_> =
        audit["items"].as_array().unwrap().iter().filter(|entry| entry["object"] == "workload/web").collect();
    assert_eq!(of_web.len(), 2, "a write that changes nothing leaves none: {audit}");
}

#[tokio::test]
async fn state_that_vanished_is_a_loss_and_not_a_beginning() {
    let mut daemon = Daemon::start().await;
    daemon.stop();
    std::fs::remove_dir_all(daemon.dir.path().join("store")).unwrap();
    let output = univrs()
        .args(["up", "--runtime", "simulated", "--api", &format!("127.0.0.1:{}", free_port()), "--data-dir"])
        .arg(daemon.dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("is not there") && text.contains("backup"), "{text}");
}

/// Starts a daemon that cannot start on this directory, and answers what it says.
fn refused(dir: &std::path::Path) -> String {
    let output = univrs()
        .args(["up", "--runtime", "simulated", "--api", &format!("127.0.0.1:{}", free_port()), "--data-dir"])
        .arg(dir)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_directory_of_a_newer_version_or_another_cluster_is_left_alone() {
    let (mut one, mut other) = (Daemon::start().await, Daemon::start().await);
    one.stop();
    other.stop();
    let identity = one.dir.path().join("node.json");
    let written = std::fs::read_to_string(&identity).unwrap();
    let newer = written.replace(r#""format": 1"#, r#""format": 2"#);
    assert_ne!(newer, written);
    std::fs::write(&identity, &newer).unwrap();
    let said = refused(one.dir.path());
    assert!(said.contains("has format 2") && said.contains("hint: start the version"), "{said}");
    assert_eq!(std::fs::read_to_string(&identity).unwrap(), newer, "it is left as it was");
    std::fs::write(&identity, written).unwrap();

    let store = |daemon: &Daemon| daemon.dir.path().join("store");
    std::fs::rename(store(&one), one.dir.path().join("aside")).unwrap();
    std::fs::rename(store(&other), store(&one)).unwrap();
    let said = refused(one.dir.path());
    assert!(said.contains("belongs to cluster") && said.contains("hint: bring back"), "{said}");

    // With its own state it goes on as if nothing had been.
    std::fs::rename(store(&one), store(&other)).unwrap();
    std::fs::rename(one.dir.path().join("aside"), store(&one)).unwrap();
    one.crash_and_restart().await;
}

#[tokio::test]
async fn who_waits_for_room_gets_it_when_others_leave() {
    let daemon = Daemon::start().await;
    let cores = daemon.get("/api/cluster").await.body["capacity"]["cpu"].as_str().unwrap().to_owned();
    let body = |name: &str| {
        format!(
            r#"{{"name":"{name}","containers":[{{"name":"app","image":"{name}:1","resources":{{"cpu":"{cores}"}}}}]}}"#
        )
    };
    daemon.post("/api/workloads", &body("first")).await;
    daemon.until_status("first", "running").await;
    daemon.post("/api/workloads", &body("second")).await;
    daemon
        .until("the second waits", async || {
            daemon.get("/api/workloads/second").await.body["message"]
                .as_str()
                .is_some_and(|m| m.contains("short of cpu"))
        })
        .await;
    daemon.send(daemon.request(Method::DELETE, "/api/workloads/first")).await;
    daemon.until_status("second", "running").await;
}

#[tokio::test]
async fn the_store_is_measured() {
    let daemon = Daemon::start().await;
    let series = async |name: &str| -> f64 {
        let text = daemon.get("/metrics").await.body.as_str().unwrap().to_owned();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no series {name}")).split(' ').nth(1).unwrap().parse().unwrap()
    };
    daemon.until("it leads", async || (series("univrs_store_leads").await - 1.0).abs() < f64::EPSILON).await;
    let before = series("univrs_store_syncs_total").await;
    assert!(before > 0.0 && series("univrs_store_syncing_seconds_total").await > 0.0);
    let made = daemon.post("/api/workloads", r#"{"name":"web","image":"web:1"}"#).await;
    assert!(made.status.is_success(), "{}", made.body);
    daemon.until("a sync was counted", async || series("univrs_store_syncs_total").await > before).await;
}
