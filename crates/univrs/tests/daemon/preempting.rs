//! What matters more takes the room of what matters less, and gives it back.

use reqwest::Method;
use serde_json::Value;

use crate::harness::Daemon;

fn body(name: &str, priority: u8, replicas: u32, cpu: &str) -> String {
    serde_json::json!({
        "name": name, "priority": priority, "replicas": replicas,
        "containers": [{"name": "app", "image": format!("{name}:1"), "resources": {"cpu": cpu}}],
    })
    .to_string()
}

#[tokio::test]
async fn a_higher_priority_takes_room_and_the_lower_waits() {
    let daemon = Daemon::start().await;
    let whole = daemon.get("/api/cluster").await.body["capacity"]["cpu"].as_str().unwrap().to_owned();
    let millis: u64 = match whole.strip_suffix('m') {
        Some(millis) => millis.parse().unwrap(),
        None => whole.parse::<u64>().unwrap() * 1000,
    };
    // Named so that the lower one comes first wherever names decide.
    let quarter = format!("{}m", millis / 4);
    daemon.post("/api/workloads", &body("a-batch", 10, 4, &quarter)).await;
    daemon.until_status("a-batch", "running").await;
    daemon.post("/api/workloads", &body("equal", 10, 1, &whole)).await;
    daemon.post("/api/workloads", &body("z-vital", 90, 1, &format!("{}m", millis / 2))).await;
    daemon.until_status("z-vital", "running").await;
    // While room is still being made they say so instead.
    let waits =
        |one: &&Value| one["phase"] == "pending" && one["message"].as_str().unwrap().contains("short of cpu");
    let look = async || daemon.get("/api/workloads/a-batch/instances").await.body;
    let wait = |instances: &Value| instances["items"].as_array().unwrap().iter().filter(waits).count() == 2;
    daemon.until_seen("the batch waits for two", look, wait).await;
    daemon
        .until("the others serve", async || {
            let view = daemon.get("/api/workloads/a-batch").await.body;
            view["ready"] == 2 && view["instances"] == 4
        })
        .await;
    let events = daemon.get("/api/events?limit=1000").await.body;
    let told: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == "instance_preempted")
        .collect();
    assert_eq!(told.len(), 2, "as few as possible go, and each once: {told:?}");
    assert!(told[0]["message"].as_str().unwrap().contains("z-vital of priority 90"), "{told:?}");
    assert_eq!(
        daemon.get("/api/workloads/equal").await.body["ready"],
        0,
        "equals do not push each other out"
    );

    daemon.send(daemon.request(Method::DELETE, "/api/workloads/equal")).await;
    daemon.send(daemon.request(Method::DELETE, "/api/workloads/z-vital")).await;
    daemon
        .until("the batch is whole again", async || {
            daemon.get("/api/workloads/a-batch").await.body["ready"] == 4
        })
        .await;
}
