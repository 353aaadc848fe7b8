//! A node of several is emptied while what runs on it is needed.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Cluster;

#[tokio::test]
async fn a_drained_node_is_replaced_one_for_one_and_the_spread_stays() {
    let mut cluster = Cluster::found(&["--cloud", "a"]).await;
    for (name, cloud) in [("two", "a"), ("three", "b"), ("four", "b")] {
        cluster.join(name, &["--cloud", cloud, "--role", "business"]).await;
    }
    let web = json!({"name": "web", "image": "web:1", "replicas": 8, "placement": {"spread": ["cloud"]},
        "update": {"max_surge": 1, "max_unavailable": 0}});
    cluster.taken(0, Method::POST, "/api/workloads", &web).await;
    // Nodes and clouds of the instances that run.
    let look = async || {
        let answer = cluster.get(0, "/api/workloads/web/instances?limit=100").await;
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        let running =
            items.into_iter().filter(|item| item["phase"] == "running" && item["reachable"] == true);
        let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
        running.map(|item| (text(&item, "node_name"), text(&item, "cloud"))).collect::<Vec<_>>()
    };
    let clouds = |seen: &[(String, String)]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (_, cloud) in seen {
            *counts.entry(cloud.clone()).or_default() += 1;
        }
        counts
    };
    let even = BTreeMap::from([("a".to_owned(), 4), ("b".to_owned(), 4)]);
    let on = |seen: &[(String, String)], name: &str| seen.iter().filter(|(node, _)| node == name).count();
    let placed = cluster.until_seen("eight run, four in each cloud", look, |seen| clouds(seen) == even).await;
    assert!(on(&placed, "two") > 0, "{placed:?}");

    // What will happen is shown first, and does not happen by that.
    let (status, plan) =
        cluster.send(0, Method::POST, "/api/nodes/two/drain?dry_run=true", Some(json!({}))).await;
    assert_eq!(status, 200, "{plan}");
    assert!(plan["changes"].to_string().contains("two") && plan["digest"].is_string(), "{plan}");
    assert!(on(&look().await, "two") > 0);

    let (status, begun) = cluster.send(0, Method::POST, "/api/nodes/two/drain", Some(json!({}))).await;
    assert_eq!(status, 202, "{begun}");
    let operation = begun["operation"]["id"].as_str().unwrap().to_owned();
    let draining = async || {
        let seen = look().await;
        (seen, cluster.get(0, &format!("/api/operations/{operation}")).await["status"].clone())
    };
    cluster
        .until_seen("nothing is left there", draining, |(seen, status)| {
            // Nothing at all is an answer that did not come.
            assert!(seen.is_empty() || seen.len() >= 8, "too few serve: {seen:?}");
            assert!(status != "failed" && status != "undone", "{status}");
            status == "succeeded" && on(seen, "two") == 0 && clouds(seen) == even
        })
        .await;
    // Nothing is placed there until it is let in again.
    let more = json!({"replicas": 12});
    cluster.taken(0, Method::PATCH, "/api/workloads/web", &more).await;
    let seen = cluster.until_seen("twelve run", look, |seen| seen.len() == 12).await;
    assert_eq!(on(&seen, "two"), 0, "{seen:?}");
}
