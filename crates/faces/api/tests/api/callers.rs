//! Tokens: what they open, what they do not, and how they end.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use univrs_model::Timestamp;

use crate::harness::{Face, request};

#[tokio::test]
async fn elsewhere_than_on_loopback_only_the_probes_answer_without_a_token() {
    let face = Face::start().await;
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 401),
        ("/api/workloads", 401),
        ("/api/openapi.json", 401),
        ("/ws/orchestrator", 401),
        ("/nothing", 401),
    ] {
        let answer = face.ask_outside(request(Method::GET, path, &Value::Null)).await;
        assert_eq!(answer.status, status, "{path}");
        if status == 401 {
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            assert_eq!(answer.body["code"], "unauthenticated");
        }
    }
    let token = face.make_token("default", json!({"name": "ci", "grant": "operate"})).await;
    let answer = face.holding(&token, Method::GET, "/api/workloads/web", Value::Null).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = face.holding(&token, Method::POST, "/api/workloads/web/scale", json!({"replicas": 3})).await;
    assert_eq!((answer.status, &answer.body["replicas"]), (StatusCode::OK, &json!(3)));
}

#[tokio::test]
async fn a_token_is_shown_once_and_stored_nowhere() {
    let face = Face::start().await;
    let post = |key: &str| {
        let mut request = request(Method::POST, "/api/tokens", &json!({"name": "ci"}));
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request
    };
    let made = face.ask_here(post("k")).await;
    let token = made.token();
    assert_eq!(made.headers["cache-control"], "no-store");
    assert_eq!((&made.body["grant"], &made.body["org"]), (&json!("observe"), &json!("default")));
    let id = made.body["id"].as_str().unwrap();
    assert!(token.starts_with(&format!("univrs_{id}_")), "{token}");
    // A repetition makes no other one and cannot show the first again.
    let again = face.ask_here(post("k")).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("conflict")));
    assert!(again.detail().contains(id), "{}", again.body);

    let secret = token.rsplit_once('_').unwrap().1;
    for path in ["/api/tokens", &format!("/api/tokens/{id}"), "/api/audit", "/api/events"] {
        let answer = face.get(path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!answer.body.to_string().contains(secret), "{path}");
    }
    let mut stored = Vec::new();
    let store: &dyn univrs_ports::store::StateStore = &*face.store;
    store.snapshot(&mut stored).await.unwrap();
    assert!(!stored.is_empty());
    assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()));
}

#[tokio::test]
async fn a_token_that_is_not_good_is_told_why() {
    let face = Face::start().await;
    let token = face.make_token("default", json!({"name": "ci", "ttl": "1h"})).await;
    let (id, secret) = token.strip_prefix("univrs_").unwrap().rsplit_once('_').unwrap();
    let ask = async |token: &str| face.holding(token, Method::GET, "/api/workloads", Value::Null).await;
    assert_eq!(ask(&token).await.status, StatusCode::OK);
    for (bad, reason) in [
        ("", "does not read"),
        ("hello", "does not read"),
        (&format!("univrs_{id}_"), "does not know"),
        (&format!("univrs_{id}_{}", "0".repeat(64)), "does not know"),
        (&format!("univrs_{id}_{secret}0"), "does not know"),
        (&format!("univrs_tk_2222_{secret}"), "does not know"),
    ] {
        let answer = ask(bad).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{bad}");
        assert!(answer.detail().contains(reason), "{bad}: {}", answer.body);
    }
    let used = face.get(&format!("/api/tokens/{id}")).await.body;
    assert_eq!(used["last_used_at"], json!(Timestamp::from_second(1_000_000).unwrap()));

    // Even on the machine, a token says who asks; a wrong one is not overlooked.
    let mut basic = request(Method::GET, "/api/workloads", &Value::Null);
    basic.headers_mut().insert("authorization", "Basic eDp5".parse().unwrap());
    assert_eq!(face.ask_here(basic).await.status, StatusCode::UNAUTHORIZED);

    face.clock.set(Timestamp::from_second(1_003_600).unwrap());
    let late = ask(&token).await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
    assert!(late.detail().contains("expired at"), "{}", late.body);
    assert_eq!(face.get("/api/tokens/ci").await.body["state"], "expired");

    let other = face.make_token("default", json!({"name": "other"})).await;
    let revoked = face.on_the_machine(Method::DELETE, "/api/tokens/other", Value::Null).await;
    assert_eq!((revoked.status, &revoked.body["state"]), (StatusCode::OK, &json!("revoked")));
    let late = ask(&other).await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
    assert!(late.detail().contains("revoked at"), "{}", late.body);
}

#[tokio::test]
async fn a_web_socket_carries_its_token_as_a_protocol() {
    let face = Face::start().await;
    let token = face.make_token("default", json!({"name": "ci"})).await;
    for (protocol, status) in [(format!("univrs.bearer.{token}"), 426), ("univrs.bearer.x".to_owned(), 401)] {
        let mut request = request(Method::GET, "/ws/orchestrator", &Value::Null);
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        // Let in, it is told that this is not a WebSocket: there is no connection to upgrade here.
        assert_eq!(face.ask_outside(request).await.status, status, "{protocol}");
    }
}

#[tokio::test]
async fn a_denial_names_action_object_and_rule() {
    let face = Face::start().await;
    let token = face.make_token("default", json!({"name": "look", "grant": "observe"})).await;
    let answer = face.holding(&token, Method::DELETE, "/api/workloads/web", Value::Null).await;
    assert_eq!((answer.status, &answer.body["code"]), (StatusCode::FORBIDDEN, &json!("denied")));
    assert_eq!(
        answer.detail(),
        "workload_write on workload/web is denied by default_deny: token grants observe; workload_write needs operate"
    );
}

#[tokio::test]
async fn whoever_may_make_tokens_makes_none_that_may_more() {
    let face = Face::start().await;
    let admin = face.make_token("default", json!({"name": "admin", "grant": "admin"})).await;
    let spec = json!({"name": "more", "grant": "observe", "cluster_wide": true});
    let answer = face.holding(&admin, Method::POST, "/api/tokens", spec).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.detail().contains("cluster_objects"), "{}", answer.body);
    let operate =
        face.make_token("default", json!({"name": "op", "grant": "operate", "cluster_wide": true})).await;
    let spec = json!({"name": "more", "grant": "observe"});
    assert_eq!(face.holding(&operate, Method::POST, "/api/tokens", spec).await.status, StatusCode::FORBIDDEN);
    // A directory of the node holds what others keep there.
    let body = json!({"name": "bind", "image": "web:1", "volumes": [{"name": "v", "host_path": "/etc"}]});
    let answer = face.holding(&admin, Method::POST, "/api/workloads", body.clone()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        answer.detail().starts_with("volume_bind on workload/bind is denied by cluster_objects"),
        "{}",
        answer.body
    );
    assert_eq!(face.on_the_machine(Method::POST, "/api/workloads", body).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_dry_run_makes_and_ends_no_token() {
    let face = Face::start().await;
    let spec = json!({"name": "ci"});
    let plan = face.on_the_machine(Method::POST, "/api/tokens?dry_run=true", spec.clone()).await;
    assert_eq!((plan.status, &plan.body["changes"][0]["action"]), (StatusCode::OK, &json!("create")));
    assert!(face.get("/api/tokens").await.all("name").is_empty());
    face.make_token("default", spec).await;
    let plan = face.on_the_machine(Method::DELETE, "/api/tokens/ci?dry_run=true", Value::Null).await;
    assert_eq!((plan.status, &plan.body["changes"][0]["action"]), (StatusCode::OK, &json!("delete")));
    assert_eq!(face.get("/api/tokens/ci").await.body["state"], "active");
}
