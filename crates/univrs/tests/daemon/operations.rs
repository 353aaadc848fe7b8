//! Long changes: they go on after a crash, can be stopped, and take back what they did.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::harness::Daemon;

impl Daemon {
    async fn node(&self) -> Value {
        self.get("/api/nodes").await.body["items"][0].clone()
    }

    async fn begin_drain(&self, query: &str) -> String {
        let name = self.node().await["name"].as_str().unwrap().to_owned();
        let answer = self.post(&format!("/api/nodes/{name}/drain{query}"), "{}").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
        answer.body["operation"]["id"].as_str().unwrap().to_owned()
    }

    async fn until_operation(&self, id: &str, status: &str) -> Value {
        let what = format!("operation {id} is {status}");
        self.until(&what, async || self.get(&format!("/api/operations/{id}")).await.body["status"] == status)
            .await;
        self.get(&format!("/api/operations/{id}")).await.body
    }
}

#[tokio::test]
async fn a_drain_goes_on_after_a_crash_and_can_be_stopped() {
    let mut daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1","replicas":2}"#).await;
    daemon.until_status("web", "running").await;
    // There is no other node, so the instances that serve stay where they are.
    let id = daemon.begin_drain("").await;
    daemon.until("the node drains", async || daemon.node().await["draining"] == true).await;
    daemon.crash_and_restart().await;
    let view = daemon.get(&format!("/api/operations/{id}")).await.body;
    assert_eq!(view["status"], "running");
    assert_eq!(daemon.begin_drain("").await, id, "a drain that is under way is answered again");

    let stopped = daemon.post(&format!("/api/operations/{id}/cancel"), "{}").await;
    assert_eq!(stopped.status, StatusCode::ACCEPTED);
    let ended = daemon.until_operation(&id, "cancelled").await;
    assert_eq!(ended["progress"], 0);
    assert_eq!(daemon.node().await["draining"], false);
    let again = daemon.post(&format!("/api/operations/{id}/cancel"), "{}").await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "asking twice is asking once");

    let answer = daemon.send(daemon.request(Method::DELETE, "/api/workloads/web")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let id = daemon.begin_drain("").await;
    let ended = daemon.until_operation(&id, "succeeded").await;
    assert_eq!((&ended["progress"], &ended["stage"]), (&100.into(), &"complete".into()));
    assert_eq!(daemon.node().await["draining"], true);
    let late = daemon.post(&format!("/api/operations/{id}/cancel"), "{}").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_drain_past_its_deadline_names_what_is_left_and_is_undone() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1"}"#).await;
    daemon.until_status("web", "running").await;
    let id = daemon.begin_drain("?deadline=1s").await;
    let ended = daemon.until_operation(&id, "undone").await;
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("deadline passed") && error.contains("web/in_"), "{error}");
    assert_eq!(daemon.node().await["draining"], false);
    // Whoever sees the end sees its event.
    let events = daemon.get("/api/events?limit=1000").await.body;
    let told = events["items"].as_array().unwrap().iter().any(|event| event["kind"] == "operation_ended");
    assert!(told, "{events:#}");
    assert_eq!(daemon.get("/api/operations/op_none").await.status, StatusCode::NOT_FOUND);
    let bad = daemon.node().await["name"].as_str().unwrap().to_owned();
    let bad = daemon.post(&format!("/api/nodes/{bad}/drain?deadline=soon"), "{}").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}
