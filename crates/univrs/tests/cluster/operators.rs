//! An AI operator and a node that is cut off: it is told which and what to do, and sees it come back.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Cluster;

fn cut_off(list: &Value) -> Option<Value> {
    let mut items = list["items"].as_array().into_iter().flatten();
    items.find(|one| one["code"] == "node_cut_off").cloned()
}

#[tokio::test]
async fn a_node_that_is_cut_off_is_named_with_the_way_back() {
    let mut cluster = Cluster::found(&["--cloud", "a"]).await;
    let two = cluster.join("two", &["--role", "slim", "--cloud", "b"]).await;
    let web = json!({"name": "web", "image": "web:1", "placement": {"constraints": ["cloud == b"]}});
    cluster.taken(0, Method::POST, "/api/workloads", &web).await;
    cluster.until_running(0, "web", 1).await;
    cluster.nodes[two].kill();
    cluster.until("it is missed", async || cut_off(&cluster.get(0, "/api/problems").await).is_some()).await;
    let found = cluster.tool(0, "find_problems", json!({})).await;
    let problem = cut_off(&found).unwrap_or_else(|| panic!("{found:#}"));
    assert_eq!(problem["subject"], "node/two");
    assert!(problem["evidence"][0].as_str().unwrap().starts_with("state lost, "), "{problem:#}");
    assert!(problem["fix"].as_str().unwrap().contains("start its daemon again"), "{problem:#}");
    let node = cluster.tool(0, "node_get", json!({"node": "two"})).await;
    assert_eq!(node["state"], "lost", "{node:#}");
    cluster.nodes[two].start();
    cluster.until_ready(two).await;
    cluster.until("it is back", async || cut_off(&cluster.get(0, "/api/problems").await).is_none()).await;
    let left = cluster.tool(0, "find_problems", json!({})).await;
    assert_eq!(cut_off(&left), None, "{left:#}");
}
