//! A copy of the whole state begins a cluster of its own on another machine.

use std::path::Path;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Cluster, univrs};

fn run(args: &[&str]) -> Output {
    univrs().args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Begins a cluster in `dir`, with these further flags.
fn restore(file: &str, dir: &Path, flags: &[&str]) -> Output {
    univrs().args(["backup", "restore", file, "--data-dir"]).arg(dir).args(flags).output().unwrap()
}

#[tokio::test]
async fn a_backup_begins_a_cluster_of_its_own() {
    let mut cluster = Cluster::found(&["--role", "validator"]).await;
    cluster.join("two", &["--role", "slim"]).await;
    let web = json!({"name": "web", "image": "web:1", "secrets": [{"name": "db", "env": "DB"}]});
    cluster.taken(0, Method::PUT, "/api/secrets/db", &json!({"value": "CANARY-78"})).await;
    cluster.taken(0, Method::POST, "/api/workloads", &web).await;
    cluster.until("web runs", async || cluster.running(0, "web").await.len() == 1).await;
    let id = cluster.get(0, "/api/cluster").await["id"].clone();

    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("state.backup");
    let file = path.to_str().unwrap();
    let server = format!("http://127.0.0.1:{}", cluster.nodes[0].api);
    let made = run(&["backup", "create", file, "--server", &server]);
    assert!(made.status.success(), "{}", said(&made));
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(9).any(|window| window == b"CANARY-78"), "secrets stay sealed");
    let audit = cluster.get(0, "/api/audit").await.to_string();
    assert!(audit.contains("backup_read"), "{audit}");

    let inspected = run(&["backup", "inspect", file, "-o", "json"]);
    assert!(inspected.status.success(), "{}", said(&inspected));
    let contents: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(contents["cluster"], id);
    assert_eq!((&contents["objects"]["workload"], &contents["objects"]["secret"]), (&json!(1), &json!(1)));
    assert_eq!(contents["opened_by"][0]["name"], "one");
    assert!(contents["as_of"].is_string(), "{contents}");

    // Whatever is wrong with it is found before anything is made.
    let fresh = around.path().join("fresh");
    let damaged = around.path().join("damaged");
    let mut broken = bytes.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    for (bytes, word) in [(broken.as_slice(), "checksum"), (&bytes[..middle], "ends too early")] {
        std::fs::write(&damaged, bytes).unwrap();
        let refused = restore(damaged.to_str().unwrap(), &fresh, &[]);
        assert!(!refused.status.success() && said(&refused).contains(word), "{}", said(&refused));
        assert!(!fresh.exists());
    }
    let refused = restore(file, &fresh, &[]);
    assert!(!refused.status.success() && said(&refused).contains("--secrets-key"), "{}", said(&refused));
    let other = around.path().join("other.key");
    std::fs::write(&other, [7; 32]).unwrap();
    std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let refused = restore(file, &fresh, &["--secrets-key", other.to_str().unwrap()]);
    assert!(!refused.status.success() && said(&refused).contains("no validator"), "{}", said(&refused));
    let refused = restore(file, cluster.nodes[0].dir(), &[]);
    assert!(!refused.status.success() && said(&refused).contains("another daemon"), "{}", said(&refused));

    // The machine is lost but for its key; another one goes on.
    let key = cluster.nodes[0].dir().join("secrets.key");
    let kept = around.path().join("kept.key");
    std::fs::copy(&key, &kept).unwrap();
    cluster.nodes[0].stop();
    let dir = cluster.nodes[0].dir().to_str().unwrap().to_owned();
    let down = run(&["down", "--data-dir", &dir]);
    assert!(down.status.success(), "{}", said(&down));
    let fresh = cluster.place("three");
    let restored = restore(file, &fresh, &["--secrets-key", kept.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", said(&restored));
    let three = cluster.add("three", &[]);
    cluster.until_ready(three).await;
    assert_ne!(cluster.get(three, "/api/cluster").await["id"], id);
    cluster
        .until("web runs again, with its secret", async || cluster.running(three, "web").await.len() == 1)
        .await;
    let again = restore(file, &fresh, &["--secrets-key", kept.to_str().unwrap()]);
    assert!(!again.status.success(), "a node lives there");
}
