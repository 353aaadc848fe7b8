//! Topologies over REST: the same answers as on the command line, and refusals that name the key.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Face;

const AURIGRAPH: &str = include_str!("../../../../../examples/aurigraph.toml");

/// A topology that is well.
pub(crate) fn small() -> Value {
    json!({"name": "small", "region": [{"cloud": "aws", "name": "us-east-1"}],
        "role": {"web": {"count": 2, "machine": "t3.large"}}, "traffic": {"egress": {"internet": 10}}})
}

async fn ask(face: &Face, verb: &str, body: Value) -> (StatusCode, Value) {
    let answer = face.on_the_machine(Method::POST, &format!("/api/topologies/{verb}"), body).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn each_verb_answers_for_a_topology_and_for_a_text() {
    let face = Face::start().await;
    let text = json!({"text": AURIGRAPH, "format": "toml", "set": ["role.slim.count=3"]});
    let (status, report) = ask(&face, "check", text.clone()).await;
    assert_eq!((status, &report["errors"]), (StatusCode::OK, &json!([])), "{report}");
    assert!(report["warnings"].as_array().unwrap().iter().any(|found| found["code"] == "missing-egress"));
    let (_, plan) = ask(&face, "plan", text.clone()).await;
    assert_eq!(
        (plan["regions"].as_array().unwrap().len(), plan["tunnels"].as_array().unwrap().len()),
        (6, 15)
    );
    let (_, cost) = ask(&face, "cost", text.clone()).await;
    assert_eq!(cost["univrs"]["complete"], false, "{cost}");
    let (_, emitted) = ask(&face, "emit", text.clone()).await;
    assert!(emitted["files"].as_object().unwrap().keys().any(|path| path.ends_with(".tf.json")));
    let (_, optimized) = ask(&face, "optimize", text).await;
    assert!(optimized["monthlySaving"].is_string(), "{optimized}");
    let (status, cost) = ask(&face, "cost", small()).await;
    assert_eq!(status, StatusCode::OK, "{cost}");
    // 2 t3.large at 0.0832 USD an hour are among it.
    let total: f64 = cost["totalMonthlyCost"].as_str().unwrap().parse().unwrap();
    assert!(total >= 2.0 * 0.0832 * 730.0, "{cost}");
}

#[tokio::test]
async fn errors_are_a_report_of_check_and_a_problem_of_the_others() {
    let face = Face::start().await;
    let mut broken = small();
    broken["role"]["web"]["cuont"] = json!(1);
    let (status, report) = ask(&face, "check", broken.clone()).await;
    assert_eq!((status, &report["errors"][0]["code"]), (StatusCode::OK, &json!("unknown-key")), "{report}");
    for verb in ["plan", "cost", "optimize", "emit"] {
        let (status, problem) = ask(&face, verb, broken.clone()).await;
        assert_eq!((status, &problem["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("role.web.cuont")));
        assert!(problem["hint"].as_str().unwrap().contains("count"), "{problem}");
    }
    let (status, problem) = ask(&face, "check", json!({"text": "", "format": "ini"})).await;
    assert_eq!((status, &problem["field"]), (StatusCode::BAD_REQUEST, &json!("format")), "{problem}");
    let (status, _) = ask(&face, "check", json!({"text": "x".repeat(2 << 20)})).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
