//! The machine's clock jumps, far forward and far back: nothing that runs is touched, and the daemon goes on.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::Daemon;

/// The library that lets a process see another time, from the package `libfaketime`.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|path| path.exists())
}

fn jump(clock: &Path, by: &str) {
    // Written whole: the library may read it at any moment.
    let new = clock.with_extension("new");
    std::fs::write(&new, by).unwrap();
    std::fs::rename(&new, clock).unwrap();
}

async fn instances(daemon: &Daemon) -> Vec<(Value, Value, Value)> {
    let items = daemon.get("/api/workloads/web/instances").await.body["items"].take();
    let items = items.as_array().unwrap().iter();
    items.map(|item| (item["id"].clone(), item["phase"].clone(), item["restarts"].clone())).collect()
}

/// The newest time the daemon has given to anything.
async fn daemons_year(daemon: &Daemon, name: &str) -> String {
    let made = daemon.get(&format!("/api/workloads/{name}")).await.body;
    made["created_at"].as_str().unwrap()[..4].to_owned()
}

#[tokio::test]
async fn a_clock_that_jumps_touches_nothing() {
    let Some(library) = faketime() else {
        eprintln!("SKIPPED: libfaketime is not installed");
        return;
    };
    let around = tempfile::tempdir().unwrap();
    let clock = around.path().join("clock");
    jump(&clock, "+0");
    let environment = vec![
        ("LD_PRELOAD", library.to_str().unwrap().to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap().to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        // A clock that is set does not change how much time has passed.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let daemon = Daemon::start_under(environment, &["--runtime", "simulated"]).await;
    let made = daemon.post("/api/workloads", r#"{"name":"web","image":"web:1","replicas":2}"#).await;
    assert!(made.status.is_success(), "{}", made.body);
    daemon.until_status("web", "running").await;
    let before = instances(&daemon).await;
    assert_eq!(before.len(), 2);
    let year = daemons_year(&daemon, "web").await;

    for (by, name) in [("+800d", "future"), ("-800d", "past"), ("+0", "present")] {
        jump(&clock, by);
        // Longer than any lease, so that whatever would expire has.
        tokio::time::sleep(std::time::Duration::from_secs(12)).await;
        assert_eq!(instances(&daemon).await, before, "after {by}");
        let nodes = daemon.get("/api/nodes").await.body;
        assert_eq!(nodes["items"][0]["state"], "ready", "after {by}: {nodes:#}");
        // New work is taken on as ever.
        let body = format!(r#"{{"name":"{name}","image":"web:1"}}"#);
        let made = daemon.post("/api/workloads", &body).await;
        assert!(made.status.is_success(), "after {by}: {}", made.body);
        daemon.until_status(name, "running").await;
        let seen = daemons_year(&daemon, name).await;
        assert_eq!(seen == year, name == "present", "the daemon did not see the jump by {by}");
    }
}
