//! The power goes everywhere at once, and comes back in any order, at once or much later.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::json;

use crate::harness::Cluster;

/// The library that lets a process see another time, from the package `libfaketime`.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|path| path.exists())
}

/// An environment in which clocks go wrong by this.
fn off_by(library: &std::path::Path, by: &str) -> Vec<(String, String)> {
    let pairs = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME", by),
        // How much time has passed is still true.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn three() -> Cluster {
    let mut cluster = Cluster::found(&[]).await;
    let two = cluster.join("two", &[]).await;
    cluster.join("three", &[]).await;
    let voters =
        async || cluster.get(two, "/api/cluster").await["voters"].as_array().map(Vec::len) == Some(3);
    cluster.until("three nodes vote", voters).await;
    let web =
        json!({"name": "web", "image": "web:1", "replicas": 3, "secrets": [{"name": "db", "env": "DB"}]});
    cluster.taken(0, Method::PUT, "/api/secrets/db", &json!({"value": "v"})).await;
    cluster.taken(0, Method::POST, "/api/workloads", &web).await;
    cluster.until("web runs", async || cluster.running(two, "web").await.len() == 3).await;
    cluster
}

/// Everything works: the state is there, writes are taken, work is placed.
async fn is_whole(cluster: &Cluster, mark: &str) {
    for node in 0..3 {
        cluster.until_ready(node).await;
    }
    cluster.until("web runs as before", async || cluster.running(1, "web").await.len() == 3).await;
    let next =
        json!({"name": mark, "image": "web:1", "replicas": 3, "secrets": [{"name": "db", "env": "DB"}]});
    cluster
        .until("writes are taken", async || {
            let (status, _) = cluster.send(2, Method::POST, "/api/workloads", Some(next.clone())).await;
            // The answer to an earlier attempt may have been lost.
            matches!(status, 201 | 409)
        })
        .await;
    cluster.until("new work runs", async || cluster.running(0, mark).await.len() == 3).await;
}

#[tokio::test]
async fn power_lost_everywhere_comes_back_in_any_order() {
    let mut cluster = three().await;
    for order in [[2, 0, 1], [1, 2, 0]] {
        for node in 0..3 {
            cluster.nodes[node].kill();
        }
        for node in order {
            cluster.nodes[node].start();
        }
        is_whole(&cluster, &format!("after-{}", order[0])).await;
    }
}

#[tokio::test]
async fn a_cluster_that_slept_for_ten_days_wakes_up() {
    let Some(library) = faketime() else {
        eprintln!("SKIPPED: libfaketime is not installed");
        return;
    };
    let mut cluster = three().await;
    for node in 0..3 {
        cluster.nodes[node].kill();
        cluster.nodes[node].in_environment(&off_by(&library, "+10d"));
    }
    // All their certificates ended nine days ago.
    for node in [1, 2, 0] {
        cluster.nodes[node].start();
    }
    is_whole(&cluster, "later").await;
}

#[tokio::test]
async fn a_machine_whose_clock_is_wrong_is_told_so() {
    let Some(library) = faketime() else {
        eprintln!("SKIPPED: libfaketime is not installed");
        return;
    };
    let cluster = Cluster::found(&["--role", "validator"]).await;
    for by in ["+10m", "-10m"] {
        let token = cluster.token(&[]);
        let said = cluster.refused_in(&off_by(&library, by), &["--name", "x", "--join-token", &token]);
        assert!(said.contains("clock"), "{by}: {said}");
    }
}
