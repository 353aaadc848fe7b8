//! What AI operators are refused, in bulk: every tool with fuzzed arguments for a token that only looks, and a thousand
//! digests that are not a plan's. Raw messages, so that no client stands between.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::harness::Daemon;

impl Daemon {
    /// One message of the protocol, with a token or in the mode of the address.
    async fn rpc(&self, path: &str, token: Option<&str>, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let mut request = self
            .request(Method::POST, path)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        self.send(request).await.body
    }

    async fn token(&self, name: &str, grant: &str) -> String {
        let made = self.post("/api/tokens", &json!({"name": name, "grant": grant}).to_string()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        made.body["token"].as_str().unwrap().to_owned()
    }
}

/// The text of a refusal; nothing when the tool did what it is for.
fn refusal(answer: &Value) -> Option<String> {
    if let Some(error) = answer.get("error") {
        return Some(error["message"].as_str().unwrap().to_owned());
    }
    let result = &answer["result"];
    assert!(result["content"].is_array(), "{answer}");
    (result["isError"] == true).then(|| result["content"][0]["text"].as_str().unwrap().to_owned())
}

/// Arguments that a tool may take, some that it may not, and attempts at ways around the plan.
fn arguments(tool: &Value, node: &str) -> BoxedStrategy<Value> {
    let names: Vec<String> = tool["inputSchema"]["properties"]
        .as_object()
        .map_or_else(Vec::new, |known| known.keys().filter(|key| *key != "wait_seconds").cloned().collect());
    let names = if names.is_empty() { vec!["name".to_owned()] } else { names };
    let usual = json!({"name": "web", "node": node, "image": "web:2", "replicas": 3, "template": "postgres-small",
        "plan_id": "pl_22222222", "digest": "sha256:0", "operation": "op_22222222", "text": "name = \"x\""});
    let usual = usual.as_object().unwrap().clone();
    let odd = prop_oneof![
        Just(json!("web")),
        Just(json!("web?dry_run=false")),
        Just(json!("../tokens")),
        "\\PC{0,12}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!({"replicas": 0, "dry_run": false, "agreed": true})),
        Just(json!(["a"])),
        Just(Value::Null),
    ];
    let key = prop_oneof![
        8 => proptest::sample::select(names.clone()),
        1 => Just("dry_run".to_owned()),
        1 => Just("agreed".to_owned()),
    ];
    (proptest::collection::vec((key, odd), 0..3), any::<bool>())
        .prop_map(move |(odd, fits)| {
            let mut object: Map<String, Value> =
                names.iter().filter_map(|name| Some((name.clone(), usual.get(name)?.clone()))).collect();
            if !fits {
                object.extend(odd);
            }
            Value::Object(object)
        })
        .boxed()
}

#[tokio::test]
async fn no_tool_writes_for_a_token_that_only_looks_whatever_it_is_given() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1","replicas":2}"#).await;
    daemon.until_status("web", "running").await;
    let token = daemon.token("looks", "observe").await;
    let picture = async || {
        let audit = daemon.get("/api/audit?limit=1000").await.body["items"].as_array().unwrap().len();
        let spec = daemon.get("/api/workloads/web").await.body["spec"].clone();
        let node = daemon.get("/api/nodes/one").await.body;
        let names = |list: Value| -> Vec<Value> {
            list["items"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect()
        };
        let resources = names(daemon.get("/api/resources").await.body);
        let workloads = names(daemon.get("/api/workloads").await.body);
        (audit, spec, [node["cordoned"].clone(), node["draining"].clone()], resources, workloads)
    };
    let before = picture().await;
    let tools = daemon.rpc("/mcp", Some(&token), "tools/list", json!({})).await;
    let mut runner = TestRunner::deterministic();
    let (mut calls, mut denied) = (0, 0);
    for tool in tools["result"]["tools"].as_array().unwrap() {
        let strategy = arguments(tool, "one");
        for _ in 0..25 {
            let given = strategy.new_tree(&mut runner).unwrap().current();
            let params = json!({"name": tool["name"], "arguments": given});
            let answer = daemon.rpc("/mcp?mode=admin", Some(&token), "tools/call", params).await;
            calls += 1;
            match refusal(&answer) {
                None => assert_eq!(tool["annotations"]["readOnlyHint"], true, "{given}: {answer}"),
                Some(text) => denied += usize::from(text.starts_with("denied")),
            }
        }
    }
    assert!(calls >= 500 && denied >= 50, "{calls} calls, {denied} of them denied");
    assert_eq!(picture().await, before);
    assert_eq!(daemon.get("/api/plans").await.body["items"], json!([]), "not even a plan was made");
}

/// Digests like the right one that are others.
fn bad_digests(right: &str, count: usize) -> Vec<String> {
    let hex = right.strip_prefix("sha256:").unwrap();
    let mut bad = vec![
        String::new(),
        " ".to_owned(),
        hex.to_owned(),
        right.to_uppercase(),
        format!("{right} "),
        format!(" {right}"),
        format!("{right}\u{0}"),
        format!("{right}0"),
        format!("sha512:{hex}"),
        "sha256:".to_owned(),
        "*".to_owned(),
        "x".repeat(10_000),
    ];
    let mut at = 0;
    while bad.len() < count {
        // One digit is another, at each place in turn.
        let (place, shift) = (at % hex.len(), 1 + (at / hex.len()) % 15);
        let mut digits: Vec<char> = hex.chars().collect();
        let value = digits[place].to_digit(16).unwrap() as usize;
        digits[place] = char::from_digit(((value + shift) % 16) as u32, 16).unwrap();
        bad.push(format!("sha256:{}", digits.into_iter().collect::<String>()));
        at += 1;
    }
    bad
}

#[tokio::test]
async fn a_thousand_bad_digests_are_a_thousand_refusals() {
    let daemon = Daemon::start().await;
    let call = async |tool: &str, arguments: Value| {
        daemon
            .rpc("/mcp?mode=operate", None, "tools/call", json!({"name": tool, "arguments": arguments}))
            .await
    };
    let planned = call("workload_deploy", json!({"name": "web", "image": "web:1"})).await;
    let plan = &planned["result"]["structuredContent"];
    let (id, right) = (plan["plan_id"].as_str().unwrap(), plan["digest"].as_str().unwrap());
    let bad = bad_digests(right, 1000);
    let mut refused = 0;
    for digest in &bad {
        assert_ne!(digest, right);
        let answer = call("plan_apply", json!({"plan_id": id, "digest": digest})).await;
        let text = refusal(&answer).unwrap_or_else(|| panic!("{digest:?} was taken: {answer}"));
        assert!(text.starts_with("plan_digest"), "{digest:?}: {text}");
        refused += 1;
    }
    assert_eq!(refused, 1000);
    assert_eq!(daemon.get("/api/workloads/web").await.status, StatusCode::NOT_FOUND);
    // None of them has used the plan up.
    let taken = call("plan_apply", json!({"plan_id": id, "digest": right})).await;
    assert_eq!(taken["result"]["structuredContent"]["status"], "applied", "{taken}");
}

#[tokio::test]
async fn topologies_are_checked_and_priced_by_tools() {
    let daemon = Daemon::start().await;
    let call = async |tool: &str, arguments: Value| {
        daemon.rpc("/mcp", None, "tools/call", json!({"name": tool, "arguments": arguments})).await
    };
    let text = include_str!("../../../../examples/freetier.toml");
    let checked = call("topology_check", json!({"text": text})).await;
    assert_eq!(checked["result"]["structuredContent"]["errors"], json!([]), "{checked}");
    let wrong = text.replace("per = \"region\"", "per = \"regoin\"");
    assert_ne!(text, wrong);
    let checked = call("topology_check", json!({"text": wrong})).await;
    let errors = checked["result"]["structuredContent"]["errors"].as_array().unwrap();
    assert!(!errors.is_empty() && errors[0]["line"].is_u64(), "{checked}");
    let said = checked["result"]["content"][0]["text"].as_str().unwrap();
    assert!(said.contains("[error]") && said.contains("regoin"), "{said}");
    let priced = call("topology_cost", json!({"text": text})).await;
    let total = &priced["result"]["structuredContent"]["totalMonthlyCost"];
    let said = priced["result"]["content"][0]["text"].as_str().unwrap();
    assert!(said.starts_with(&format!("{} USD a month", total.as_str().unwrap())), "{said}");
    assert!(said.contains("by region:") && said.contains("hetzner:fsn1"), "{said}");
    let more = call("topology_cost", json!({"text": text, "set": ["role.worker.count=2"]})).await;
    let sum = |answer: &Value| -> f64 {
        answer["result"]["structuredContent"]["totalMonthlyCost"].as_str().unwrap().parse().unwrap()
    };
    assert!(sum(&more) > sum(&priced), "{said}");
    let refused = refusal(&call("topology_cost", json!({"text": wrong})).await).unwrap();
    assert!(refused.starts_with("invalid_input") && refused.contains("regoin"), "{refused}");
}
