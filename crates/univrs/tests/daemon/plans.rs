//! `?dry_run=true` on every write: a plan is answered, and nothing else happens.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Daemon;

#[tokio::test]
async fn every_write_can_be_planned_and_changes_nothing() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1","replicas":2}"#).await;
    daemon.until_status("web", "running").await;
    daemon.send(daemon.request(Method::PATCH, "/api/workloads/web").body(r#"{"image":"web:2"}"#)).await;
    // Until then it is running as it was before.
    daemon
        .until("the new version runs", async || {
            let view = daemon.get("/api/workloads/web").await.body;
            view["version"] == 2 && view["updated"] == 2 && view["status"] == "running"
        })
        .await;
    let node = daemon.get("/api/nodes").await.body["items"][0]["name"].as_str().unwrap().to_owned();
    let drain = daemon.post(&format!("/api/nodes/{node}/drain"), "{}").await.body;
    let operation = drain["operation"]["id"].as_str().unwrap().to_owned();
    daemon
        .until("the node drains", async || {
            daemon.get(&format!("/api/nodes/{node}")).await.body["draining"] == true
        })
        .await;
    let before = pictures(&daemon, &node).await;

    let waits = "waiting_for_approval";
    for (method, path, body, status, action, kind) in [
        (
            Method::POST,
            "/api/workloads".to_owned(),
            json!({"name": "new", "image": "x:1"}),
            "ready",
            "create",
            "workload",
        ),
        (
            Method::PUT,
            "/api/workloads/web".to_owned(),
            json!({"name": "web", "image": "x:1", "replicas": 2}),
            "ready",
            "update",
            "workload",
        ),
        (
            Method::PATCH,
            "/api/workloads/web".to_owned(),
            json!({"image": "x:2"}),
            "ready",
            "update",
            "workload",
        ),
        (Method::DELETE, "/api/workloads/web".to_owned(), Value::Null, waits, "delete", "workload"),
        (
            Method::POST,
            "/api/workloads/web/scale".to_owned(),
            json!({"replicas": 9}),
            "ready",
            "update",
            "workload",
        ),
        (
            Method::POST,
            "/api/workloads/web/scale".to_owned(),
            json!({"replicas": 0}),
            waits,
            "update",
            "workload",
        ),
        (
            Method::POST,
            "/api/workloads/web/rollback".to_owned(),
            json!({"to": 1}),
            "ready",
            "update",
            "workload",
        ),
        (
            Method::PATCH,
            format!("/api/nodes/{node}"),
            json!({"labels": {"a": "b"}}),
            "ready",
            "update",
            "node_policy",
        ),
        (Method::POST, format!("/api/nodes/{node}/cordon"), json!({}), "ready", "update", "node_policy"),
        (Method::POST, format!("/api/nodes/{node}/uncordon"), json!({}), "ready", "update", "node_policy"),
        (
            Method::POST,
            format!("/api/operations/{operation}/cancel"),
            json!({}),
            "ready",
            "update",
            "operation",
        ),
    ] {
        let what = format!("{method} {path} {body}");
        let mut request = daemon.request(method, &format!("{path}?dry_run=true"));
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let answer = daemon.send(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.body);
        let plan = answer.body;
        assert_eq!(
            (plan["status"].as_str(), &plan["changes"][0]["action"]),
            (Some(status), &json!(action)),
            "{what}: {plan}"
        );
        assert_eq!(plan["changes"][0]["kind"], kind, "{what}");
        assert!(plan["digest"].as_str().unwrap().starts_with("sha256:"), "{what}");
        let kept = daemon.get(&format!("/api/plans/{}", plan["plan_id"].as_str().unwrap())).await.body;
        assert_eq!(kept["digest"], plan["digest"]);
    }
    let made = daemon.post("/api/tokens?dry_run=true", r#"{"name":"ci","grant":"operate"}"#).await.body;
    assert_eq!(
        (&made["status"], &made["changes"][0]["kind"]),
        (&json!("show_only"), &json!("token")),
        "{made}"
    );
    let secret =
        daemon.request(Method::PUT, "/api/secrets/db?dry_run=true").body(r#"{"value":"canary-5d1"}"#);
    let secret = daemon.send(secret).await;
    assert_eq!((secret.status, &secret.body["status"]), (StatusCode::OK, &json!("ready")), "{}", secret.body);
    for shown in [&made, &secret.body, &daemon.get("/api/plans").await.body] {
        let text = shown.to_string();
        assert!(
            !["canary", "sealed", "sha256\":", "wrapped"].iter().any(|word| text.contains(word)),
            "{text}"
        );
    }
    // A drain that is under way is answered again, so there is nothing to plan.
    let again = daemon.post(&format!("/api/nodes/{node}/drain?dry_run=true"), "{}").await;
    assert_eq!((again.status, &again.body["status"]), (StatusCode::OK, &json!("empty")));
    // A node that is alive cannot be removed, planned or not.
    let removal = daemon.request(Method::DELETE, &format!("/api/nodes/{node}?dry_run=true"));
    assert_eq!(daemon.send(removal).await.status, StatusCode::CONFLICT);
    // Images are this machine's, not the store's: their plans are for looking only, and nothing is done.
    let archive = daemon.request(Method::POST, "/api/images/import?dry_run=true").body("no archive");
    let archive = daemon.send(archive).await;
    assert_eq!((archive.status, &archive.body["status"]), (StatusCode::OK, &json!("show_only")));
    for (path, body) in [("pull", r#"{"reference":"x:1"}"#), ("self", r#"{"tag":"x:1"}"#)] {
        let plan = daemon.post(&format!("/api/images/{path}?dry_run=true"), body).await;
        assert_eq!(
            (plan.status, &plan.body["status"]),
            (StatusCode::OK, &json!("show_only")),
            "{}",
            plan.body
        );
        let change = &plan.body["changes"][0];
        assert_eq!((&change["action"], &change["name"]), (&json!("create"), &json!("x:1")), "{change}");
    }
    // A plan refuses what the write would refuse.
    let program = daemon.request(Method::POST, "/api/cluster/programs?dry_run=true").body("no program");
    assert_eq!(daemon.send(program).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let absent = daemon.request(Method::DELETE, "/api/images?reference=x:1&dry_run=true");
    assert_eq!(daemon.send(absent).await.status, StatusCode::NOT_FOUND);
    let push = daemon.post("/api/images/push?dry_run=true", r#"{"reference":"x:1"}"#).await;
    assert_eq!((push.status, &push.body["code"]), (StatusCode::NOT_FOUND, &json!("image_not_found")));
    let images = daemon.get("/api/images").await.body["items"].to_string();
    assert!(!images.contains("x:1"), "{images}");
    assert_eq!(pictures(&daemon, &node).await, before);
}

/// Everything that a write could have changed; how things fare moves by itself.
async fn pictures(daemon: &Daemon, node: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    for (path, fields) in [
        ("/api/workloads", &["name", "revision", "spec", "generation"][..]),
        ("/api/operations", &["id", "cancel_requested"]),
        ("/api/audit?limit=1000", &["at", "action", "object", "summary"]),
    ] {
        let items = daemon.get(path).await.body["items"].take();
        for item in items.as_array().unwrap() {
            seen.push(fields.iter().map(|field| item[field].clone()).collect());
        }
    }
    let view = daemon.get(&format!("/api/nodes/{node}")).await.body;
    seen.push(json!([view["labels"], view["cordoned"], view["draining"]]));
    seen
}

#[tokio::test]
async fn a_plan_is_applied_over_rest_once() {
    let daemon = Daemon::start().await;
    let plan = daemon.post("/api/workloads?dry_run=true", r#"{"name":"web","image":"web:1"}"#).await.body;
    let path = format!("/api/plans/{}/apply", plan["plan_id"].as_str().unwrap());
    let body = json!({"digest": plan["digest"]}).to_string();
    let wrong = daemon.post(&path, r#"{"digest":"sha256:0"}"#).await;
    assert_eq!((wrong.status, &wrong.body["code"]), (StatusCode::PRECONDITION_FAILED, &json!("plan_digest")));
    let foreign = daemon.request(Method::POST, &path).header("x-univrs-mode", "admin").body(body.clone());
    let foreign = daemon.send(foreign).await;
    assert_eq!((foreign.status, &foreign.body["code"]), (StatusCode::CONFLICT, &json!("plan_foreign")));
    let dry = daemon.post(&format!("{path}?dry_run=true"), &body).await;
    assert_eq!(dry.status, StatusCode::BAD_REQUEST, "a plan says itself what would come of it");
    let done = daemon.post(&path, &body).await;
    assert_eq!((done.status, &done.body["status"]), (StatusCode::OK, &json!("applied")));
    daemon.until_status("web", "running").await;
    let again = daemon.post(&path, &body).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("plan_used")));
}
