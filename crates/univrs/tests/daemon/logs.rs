//! The log as programs read it: every line an object, and spans that say what a line belongs to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Daemon, free_port, univrs};

/// The lines that are whole.
fn lines(daemon: &Daemon) -> Vec<Value> {
    let log = daemon.log();
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn spans(line: &Value) -> impl Iterator<Item = &Value> {
    line["spans"].as_array().into_iter().flatten()
}

#[tokio::test]
async fn every_line_says_what_it_belongs_to() {
    let parts = "info,univrs_api=debug,univrs_control=debug,univrs_agent=debug";
    let flags = ["--runtime", "simulated", "--log-format", "json", "--log", parts];
    let daemon = Daemon::start_with(&flags).await;
    let made = daemon.post("/api/workloads", r#"{"name":"web","image":"web:1"}"#).await;
    assert!(made.status.is_success(), "{}", made.body);
    daemon.until_status("web", "running").await;
    let begun = daemon.post("/api/nodes/one/drain?deadline=1s", "").await;
    assert!(begun.status.is_success(), "{}", begun.body);

    let wanted: BTreeSet<String> =
        ["request", "commit", "decide", "operation", "step"].map(str::to_owned).into();
    let seen = async || -> BTreeSet<String> {
        lines(&daemon)
            .iter()
            .flat_map(|line| {
                spans(line).filter_map(|span| span["name"].as_str().map(str::to_owned)).collect::<Vec<_>>()
            })
            .collect()
    };
    daemon.until_seen("each stage says something", seen, |seen| wanted.is_subset(seen)).await;

    // A write is found in the log by the request that the audit log names.
    let audit = daemon.get("/api/audit?limit=1000").await.body;
    let entries = audit["items"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["object"] == "workload/web").unwrap();
    let lines = lines(&daemon);
    let line = lines.iter().find(|line| {
        let within = |name: &str, field: &str, value: &Value| {
            spans(line).any(|span| span["name"] == name && span[field] == *value)
        };
        within("request", "id", &entry["request"]) && within("commit", "object", &entry["object"])
    });
    assert!(line.is_some(), "{entry:#}");
}

#[test]
fn a_filter_that_cannot_be_read_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let output = univrs()
        .args(["up", "--runtime", "simulated", "--log", "univrs_agent=loud"])
        .args(["--api", &format!("127.0.0.1:{}", free_port()), "--data-dir"])
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("loud") && said.contains("hint:"), "{said}");
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}
