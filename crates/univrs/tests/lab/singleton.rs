//! A singleton is cut off with its machine: at no instant do two of it run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::archive::IMAGE;
use crate::harness::{Lab, possible};

/// How many processes were started with this argument.
fn processes(mark: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            let mut words = line.split(|byte| *byte == 0);
            words.any(|word| word == b"sleep") && words.any(|word| word == mark.as_bytes())
        })
        .count()
}

#[tokio::test]
async fn a_singleton_never_runs_twice_through_a_partition() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, "aws:us-east-1,azure:eastus,gcp:us-central1", "oci").await;
    lab.give_image();
    // Nobody else on this machine sleeps for so long.
    let mark = (8_000_000 + std::process::id()).to_string();
    let body = json!({"name": "one", "singleton": true, "containers": [{"name": "app", "image": IMAGE,
        "args": ["sleep", mark], "resources": {"cpu": "50m", "memory": "16Mi"}}],
        "on_disconnect": {"stop_after": "3s"}});
    lab.make("/api/workloads", &body).await;
    let node = lab.until_running("one", 1).await[0]["node"].as_str().unwrap().to_owned();
    let status = lab.status();
    let home = status["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|n| n["id"] == node.as_str() || n["name"] == node.as_str());
    let home = home.unwrap()["name"].as_str().unwrap().to_owned();

    let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (stopped, seen, marked) = (Arc::clone(&stop), Arc::clone(&most), mark.clone());
    let watcher = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            seen.fetch_max(processes(&marked), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(15));
        }
    });
    lab.does(&["partition", &home]);
    lab.until(45, "it runs elsewhere", async || {
        lab.running("one").await.iter().any(|instance| instance["node"] != node.as_str())
    })
    .await;
    lab.until(5, "there is one", async || processes(&mark) == 1).await;
    lab.does(&["heal"]);
    lab.until(20, "the machine is back", async || lab.ready().await == 3).await;
    // Time to begin a second one, if anybody would.
    tokio::time::sleep(Duration::from_secs(2)).await;
    lab.until(20, "there is still one", async || processes(&mark) == 1).await;
    stop.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 1, "two of a singleton ran at once");
}
