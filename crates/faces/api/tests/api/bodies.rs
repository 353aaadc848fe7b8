//! What a request may say: what the document does not allow is refused, and who read something older is told.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Answer, Face, request};

#[tokio::test]
async fn what_the_document_does_not_allow_is_refused() {
    let face = Face::start().await;
    let with = |field: &str, value: Value| {
        let mut body = json!({"name": "new", "image": "web:1"});
        body[field] = value;
        body
    };
    let long = format!("{}:1", "a".repeat(254));
    let digest = format!("web@sha256:{}", "0".repeat(64));
    for (method, path, body, field) in [
        (Method::POST, "/api/workloads", json!([]), None),
        (Method::POST, "/api/workloads", with("update", json!([])), Some("update")),
        (Method::POST, "/api/workloads", with("placement", json!([null])), Some("placement")),
        (Method::POST, "/api/workloads", with("ingress", json!([["a.test"]])), Some("ingress[0]")),
        (Method::POST, "/api/workloads", with("containers", json!([["a"]])), Some("containers[0]")),
        (Method::PATCH, "/api/workloads/web", json!({"update": []}), Some("update")),
        (
            Method::POST,
            "/api/tokens",
            json!({"name": "ci", "grant": "observe", "budget": [null, null]}),
            Some("budget"),
        ),
        (
            Method::PUT,
            "/api/alerts/settings",
            json!({"channels": [["webhook", "a", "https://x.test"]]}),
            Some("channels[0]"),
        ),
        (
            Method::PUT,
            "/api/alerts/settings",
            json!({"monthly_cost": 1_000_000_000_001_u64}),
            Some("monthly_cost"),
        ),
        (Method::PUT, "/api/orgs/default/quota", json!({"memory": 1.5}), Some("memory")),
        (
            Method::PUT,
            "/api/orgs/default/quota",
            json!({"memory": 1_000_000_000_000_000_000_u64}),
            Some("memory"),
        ),
        (Method::POST, "/api/images/pull", json!({"reference": long}), Some("reference")),
        (Method::POST, "/api/images/push", json!({"reference": digest}), Some("to")),
        (Method::POST, "/api/images/push", json!({"reference": "web:1", "to": digest}), Some("to")),
        (Method::POST, "/api/images/self", json!({"tag": digest}), Some("tag")),
    ] {
        for dry_run in ["", "?dry_run=true"] {
            let asked = format!("{path}{dry_run}");
            let answer = face.on_the_machine(method.clone(), &asked, body.clone()).await;
            assert!([400, 422].contains(&answer.status.as_u16()), "{asked} {body}: {}", answer.body);
            assert_eq!(answer.body["code"], "invalid_input", "{asked} {body}: {}", answer.body);
            assert_eq!(answer.body["field"].as_str(), field, "{asked} {body}: {}", answer.body);
        }
    }
    let path = format!("/api/images/manifest?reference={digest}");
    let answer = face.on_the_machine(Method::PUT, &path, json!({})).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.detail().contains("not by a digest"), "{}", answer.body);
    assert_eq!(face.images.writes(), 0);
}

#[tokio::test]
async fn quota_and_alert_settings_keep_to_the_revision_that_was_read() {
    let face = Face::start().await;
    let put = async |path: &str, body: &Value, etag: Option<&str>| -> Answer {
        let mut request = request(Method::PUT, path, body);
        if let Some(etag) = etag {
            request.headers_mut().insert("if-match", etag.parse().unwrap());
        }
        face.ask_here(request).await
    };
    let etag = |answer: &Answer| answer.headers["etag"].to_str().unwrap().to_owned();
    for (path, first, second) in [
        ("/api/orgs/default/quota", json!({"resources": 1}), json!({"resources": 2})),
        (
            "/api/alerts/settings",
            json!({"channels": [], "monthly_cost": 1}),
            json!({"channels": [], "monthly_cost": 2}),
        ),
    ] {
        // Nobody has said anything yet.
        assert_eq!(etag(&face.get(path).await), "\"0\"", "{path}");
        let set = put(path, &first, Some("\"0\"")).await;
        assert_eq!((set.status, &set.body), (StatusCode::OK, &first), "{path}");
        assert_eq!(etag(&set), etag(&face.get(path).await), "{path}");
        let stale = put(path, &second, Some("\"0\"")).await;
        assert_eq!(
            (stale.status, &stale.body["code"]),
            (StatusCode::PRECONDITION_FAILED, &json!("stale")),
            "{path}"
        );
        assert_eq!(face.get(path).await.body, first, "{path}");
        for matching in [Some(etag(&set)), Some("*".to_owned()), None] {
            let set = put(path, &second, matching.as_deref()).await;
            assert_eq!((set.status, &set.body), (StatusCode::OK, &second), "{path}");
        }
        let plan = put(&format!("{path}?dry_run=true"), &first, None).await;
        assert_eq!((plan.status, &plan.body["changes"][0]["action"]), (StatusCode::OK, &json!("update")));
        assert_eq!(face.get(path).await.body, second, "{path}");
    }
}
