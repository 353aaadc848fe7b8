//! AI operators against the real binary: over HTTP and over standard input and output, in both revisions.

use reqwest::{Method, StatusCode};
use rmcp::model::{
    CallToolRequestParams, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientLifecycleMode, serve_client_with_lifecycle};
use serde_json::{Value, json};

use crate::harness::{Daemon, PATIENCE};

/// The newest revision, and the one with a handshake.
fn revisions() -> [ClientLifecycleMode; 2] {
    [
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
        ClientLifecycleMode::Initialize,
    ]
}

pub(crate) struct Operator {
    client: RunningService<RoleClient, ()>,
    pub(crate) calls: usize,
}

impl Operator {
    pub(crate) async fn over_http(daemon: &Daemon, mode: &str, lifecycle: ClientLifecycleMode) -> Self {
        let query = if mode.is_empty() { String::new() } else { format!("?mode={mode}") };
        let address = format!("http://127.0.0.1:{}/mcp{query}", daemon.port);
        let transport = StreamableHttpClientTransport::from_uri(address);
        let client = serve_client_with_lifecycle((), transport, lifecycle).await.unwrap();
        Self { client, calls: 0 }
    }

    /// `mode` is a mode, `token ` and a token, or empty.
    pub(crate) async fn over_stdio(daemon: &Daemon, mode: &str, lifecycle: ClientLifecycleMode) -> Self {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_univrs"));
        command.args(["mcp", "--server", &format!("http://127.0.0.1:{}", daemon.port)]);
        if let Some(token) = mode.strip_prefix("token ") {
            command.env("UNIVRS_TOKEN", token);
        } else if !mode.is_empty() {
            command.args(["--mode", mode]);
        }
        let transport = TokioChildProcess::new(command).unwrap();
        let client = serve_client_with_lifecycle((), transport, lifecycle).await.unwrap();
        Self { client, calls: 0 }
    }

    /// Calls a tool: its structured content, or the text of its refusal.
    /// It is called again while the store cannot be used, which a machine that stood still causes.
    pub(crate) async fn call(&mut self, tool: &'static str, arguments: Value) -> Result<Value, String> {
        self.calls += 1;
        let begun = std::time::Instant::now();
        let mut lost = false;
        loop {
            match self.attempt(tool, arguments.clone()).await {
                Err(refusal) if refusal.starts_with("unavailable") && begun.elapsed() < PATIENCE => {
                    lost = true
                }
                // The attempt whose answer was lost did it.
                Err(refusal) if lost && refusal.starts_with("plan_used") => return Ok(Value::Null),
                said => return said,
            }
        }
    }

    async fn attempt(&mut self, tool: &'static str, arguments: Value) -> Result<Value, String> {
        let mut request = CallToolRequestParams::new(tool);
        request.arguments = arguments.as_object().cloned();
        let result = self.client.call_tool(request).await.map_err(|error| error.to_string())?;
        if result.is_error == Some(true) {
            let content = serde_json::to_value(&result.content).unwrap();
            return Err(content[0]["text"].as_str().unwrap().to_owned());
        }
        Ok(result.structured_content.unwrap())
    }

    /// Applies a plan that a tool answered.
    pub(crate) async fn apply(&mut self, plan: &Value, seconds: u32) -> Result<Value, String> {
        let given = json!({"plan_id": plan["plan_id"], "digest": plan["digest"], "wait_seconds": seconds});
        self.call("plan_apply", given).await
    }
}

impl Daemon {
    async fn writes(&self) -> usize {
        self.get("/api/audit?limit=1000").await.body["items"].as_array().unwrap().len()
    }
}

#[tokio::test]
async fn every_transport_and_revision_offers_the_same() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1"}"#).await;
    let mut lists = Vec::new();
    for lifecycle in revisions() {
        for mut operator in [
            Operator::over_http(&daemon, "", lifecycle.clone()).await,
            Operator::over_stdio(&daemon, "admin", lifecycle.clone()).await,
        ] {
            let info = operator.client.peer_info().unwrap();
            assert_eq!(info.server_info.as_ref().unwrap().name, "univrs");
            let wanted = match &lifecycle {
                ClientLifecycleMode::Initialize => ProtocolVersion::V_2025_11_25,
                _ => ProtocolVersion::V_2026_07_28,
            };
            assert_eq!(info.protocol_version, wanted);
            let tools = operator.client.list_all_tools().await.unwrap();
            assert!(tools.iter().all(|tool| tool.output_schema.is_some() && tool.annotations.is_some()));
            lists.push(serde_json::to_string(&tools).unwrap());
            let view = operator.call("workload_get", json!({"name": "web"})).await.unwrap();
            assert_eq!(view["name"], "web");
            let refused = operator.call("workload_get", json!({"name": "wob"})).await.unwrap_err();
            assert!(refused.starts_with("not_found") && refused.contains("did you mean `web`"), "{refused}");
            let read =
                operator.client.read_resource(ReadResourceRequestParams::new("univrs://workloads/web")).await;
            assert!(serde_json::to_string(&read.unwrap()).unwrap().contains("web:1"));
            assert!(
                operator.client.read_resource(ReadResourceRequestParams::new("univrs://none")).await.is_err()
            );
            assert_eq!(operator.client.list_all_prompts().await.unwrap().len(), 4);
            let prompt =
                operator.client.get_prompt(GetPromptRequestParams::new("troubleshoot")).await.unwrap();
            assert_eq!(prompt.messages.len(), 1);
        }
    }
    assert!(lists.iter().all(|list| *list == lists[0]), "the list is the same in every mode");
    assert!(lists[0].len() <= 20_000, "{}", lists[0].len());
}

#[tokio::test]
async fn an_operator_changes_things_in_two_steps_and_a_person_approves_what_destroys() {
    let daemon = Daemon::start().await;
    let mut operator = Operator::over_stdio(&daemon, "operate", ClientLifecycleMode::Initialize).await;
    let web = json!({"name": "web", "image": "web:1", "replicas": 2});
    let plan = operator.call("workload_deploy", web.clone()).await.unwrap();
    assert_eq!((&plan["status"], &plan["changes"][0]["action"]), (&json!("ready"), &json!("create")));
    assert_eq!(daemon.get("/api/workloads/web").await.status, StatusCode::NOT_FOUND);
    let applied = operator.apply(&plan, 300).await.unwrap();
    assert_eq!((&applied["status"], &applied["settled"]), (&json!("applied"), &json!(true)), "{applied}");
    let same = operator.call("workload_deploy", web).await.unwrap();
    assert_eq!(same["status"], "empty");

    let plan = operator.call("workload_update", json!({"name": "web", "image": "web:2"})).await.unwrap();
    let over_http = &mut Operator::over_http(&daemon, "operate", ClientLifecycleMode::Initialize).await;
    operator.apply(&plan, 300).await.unwrap();
    let replayed = over_http.apply(&plan, 0).await.unwrap_err();
    assert!(replayed.starts_with("plan_used"), "{replayed}");

    let plan = operator.call("workload_delete", json!({"name": "web"})).await.unwrap();
    let id = plan["plan_id"].as_str().unwrap();
    let early = operator.apply(&plan, 0).await.unwrap_err();
    assert!(early.starts_with("approval_needed") && early.contains("univrs plan approve"), "{early}");
    // An operator that gets hold of the API itself cannot approve either.
    let approve = format!("/api/plans/{id}/approve");
    let by_itself = daemon.request(Method::POST, &approve).header("x-univrs-mode", "admin");
    assert_eq!(daemon.send(by_itself).await.status, StatusCode::FORBIDDEN);
    let univrs = |args: &[&str]| {
        let server = format!("http://127.0.0.1:{}", daemon.port);
        let output = crate::harness::univrs().args(args).args(["-y", "--server", &server]).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = univrs(&["plan", "ls"]);
    assert!(
        code == Some(0) && text.contains("waiting for approval") && text.contains("an AI operator"),
        "{text}"
    );
    let (code, text) = univrs(&["plan", "approve", id]);
    assert!(code == Some(0) && text.contains("removes workload web"), "{text}");
    let applied = operator.apply(&plan, 300).await.unwrap();
    assert_eq!(applied["settled"], true, "{applied}");
    assert_eq!(daemon.get("/api/workloads/web").await.status, StatusCode::NOT_FOUND);
    let (code, text) = univrs(&["plan", "get", id]);
    assert!(code == Some(0) && text.contains("applied"), "{text}");
    let audit = daemon.get("/api/audit?limit=1000").await.body;
    let last = audit["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["caller"]["principal"], json!({"kind": "assistant", "grant": "operate"}));
    let summary = last["summary"].as_str().unwrap();
    assert!(
        summary.contains(plan["digest"].as_str().unwrap()) && summary.contains("approved by"),
        "{summary}"
    );
}

#[tokio::test]
async fn an_observer_reaches_no_write_with_any_tool() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1","replicas":2}"#).await;
    daemon.until_status("web", "running").await;
    let before = (daemon.writes().await, daemon.get("/api/workloads/web").await.body["revision"].clone());
    let node = daemon.get("/api/nodes").await.body["items"][0]["name"].as_str().unwrap().to_owned();
    let given = [
        json!({"name": "web", "replicas": 5}),
        json!({"name": "web", "image": "web:2"}),
        json!({"name": "web", "patch": {"replicas": 0}}),
        json!({"name": "web"}),
        json!({"name": "web", "to": 1}),
        json!({"name": "new", "image": "new:1"}),
        json!({"node": node}),
        json!({"node": node, "deadline": "1m"}),
        json!({"plan_id": "pl_22222222", "digest": "sha256:0"}),
        json!({"text": include_str!("../../../../examples/freetier.toml")}),
        json!({}),
    ];
    let mut denied = 0;
    for mut operator in [
        Operator::over_http(&daemon, "", ClientLifecycleMode::Initialize).await,
        Operator::over_stdio(&daemon, "", ClientLifecycleMode::Initialize).await,
    ] {
        for tool in operator.client.list_all_tools().await.unwrap() {
            let reads = tool.annotations.unwrap().read_only_hint == Some(true);
            let name: &'static str = Box::leak(tool.name.to_string().into_boxed_str());
            for arguments in &given {
                match operator.call(name, arguments.clone()).await {
                    Ok(content) => assert!(reads, "{name} {arguments} did {content}"),
                    Err(refusal) => denied += usize::from(refusal.starts_with("denied")),
                }
            }
        }
    }
    assert!(denied >= 16, "{denied} refusals say that it may not");
    let after = (daemon.writes().await, daemon.get("/api/workloads/web").await.body["revision"].clone());
    assert_eq!(before, after);
    assert_eq!(daemon.get("/api/plans").await.body["items"], json!([]), "not even a plan was made");
}

#[tokio::test]
async fn a_pipeline_with_the_direct_grant_updates_in_one_call_and_no_more() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"orchestrator-prod","image":"web:1"}"#).await;
    daemon.until_status("orchestrator-prod", "running").await;
    let token = async |name: &str, grant: &str, direct: bool| {
        let body = json!({"name": name, "grant": grant, "direct": direct}).to_string();
        let made = daemon.post("/api/tokens", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        format!("token {}", made.body["token"].as_str().unwrap())
    };
    let image = |tag: &str| json!({"name": "orchestrator-prod", "image": format!("web:{tag}")});
    let pipeline = token("pipeline", "operate", true).await;
    let mut operator = Operator::over_stdio(&daemon, &pipeline, ClientLifecycleMode::Initialize).await;
    let done = operator.call("workload_update", image("sha-1")).await.unwrap();
    assert_eq!((&done["status"], operator.calls), (&json!("applied"), 1), "{done}");
    assert_eq!(daemon.get("/api/workloads/orchestrator-prod").await.body["spec"]["image"], "web:sha-1");
    let away = json!({"name": "orchestrator-prod", "patch": {"replicas": 0}});
    let waits = operator.call("workload_update", away).await.unwrap();
    assert_eq!(waits["status"], "waiting_for_approval", "what destroys waits for it too");
    let scaled =
        operator.call("workload_scale", json!({"name": "orchestrator-prod", "replicas": 2})).await.unwrap();
    assert_eq!(scaled["status"], "ready", "nothing but updates is direct");

    let plain = token("plain", "operate", false).await;
    let mut operator = Operator::over_stdio(&daemon, &plain, ClientLifecycleMode::Initialize).await;
    let planned = operator.call("workload_update", image("sha-2")).await.unwrap();
    assert_eq!(planned["status"], "ready");
    let looks = token("looks", "observe", false).await;
    let mut operator = Operator::over_stdio(&daemon, &looks, ClientLifecycleMode::Initialize).await;
    let refused = operator.call("workload_update", image("sha-3")).await.unwrap_err();
    assert!(refused.starts_with("denied"), "{refused}");
    // A token cannot approve what it planned, however much it may.
    let admin = token("admin", "admin", false).await;
    let mut operator = Operator::over_stdio(&daemon, &admin, ClientLifecycleMode::Initialize).await;
    let plan = operator.call("workload_delete", json!({"name": "orchestrator-prod"})).await.unwrap();
    let approve = format!("/api/plans/{}/approve", plan["plan_id"].as_str().unwrap());
    let bearer = admin.replace("token ", "Bearer ");
    let own = daemon.send(daemon.request(Method::POST, &approve).header("authorization", bearer)).await;
    assert_eq!((own.status, &own.body["code"]), (StatusCode::FORBIDDEN, &json!("plan_own")), "{}", own.body);
    assert_eq!(daemon.get("/api/workloads/orchestrator-prod").await.body["spec"]["image"], "web:sha-1");
}

#[tokio::test]
async fn foreign_sites_huge_and_many_requests() {
    let daemon = Daemon::start().await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let post = |body: String| {
        daemon
            .request(Method::POST, "/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    };
    assert_eq!(daemon.send(post(ping.clone())).await.status, StatusCode::OK);
    let foreign = post(ping.clone()).header("origin", "https://evil.example");
    assert_eq!(daemon.send(foreign).await.status, StatusCode::FORBIDDEN);
    let rebound = post(ping.clone()).header("host", "evil.example");
    assert_eq!(daemon.send(rebound).await.status, StatusCode::FORBIDDEN);
    let bad_mode = post(ping).header("x-univrs-mode", "root");
    assert_eq!(daemon.send(bad_mode).await.status, StatusCode::BAD_REQUEST);
    let broken = daemon.send(post("{".to_owned())).await.status;
    assert!(broken.is_client_error(), "{broken}");

    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "workload_list", "arguments": {}}});
    // As many at once as a process may surely have connections.
    let calls = futures::stream::iter((0..1000).map(|_| daemon.send(post(call.to_string()))));
    let answers: Vec<_> = futures::StreamExt::collect(futures::StreamExt::buffer_unordered(calls, 200)).await;
    let well = answers.iter().filter(|answer| answer.body["result"]["structuredContent"]["items"].is_array());
    assert_eq!(well.count(), 1000);
    // Whoever calls a lot does not fill the log.
    let lines = daemon.log().lines().count();
    assert!(lines < 500, "{lines} lines of log");
    // Last, because the connection ends with it.
    assert_eq!(daemon.send(post("x".repeat(2 << 20))).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// A client in front of which somebody answers every question the same way, and remembers what was asked.
#[derive(Clone)]
struct Asking {
    answer: Value,
    asked: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl rmcp::ClientHandler for Asking {
    fn get_info(&self) -> rmcp::model::ClientConfig {
        let mut info = rmcp::model::ClientConfig::default();
        info.capabilities.elicitation = Some(rmcp::model::ElicitationCapability::default());
        info
    }

    async fn create_elicitation(
        &self,
        request: rmcp::model::ElicitRequestParams,
        _: rmcp::service::RequestContext<RoleClient>,
    ) -> Result<rmcp::model::ElicitResult, rmcp::ErrorData> {
        let asked = serde_json::to_value(&request).unwrap()["message"].as_str().unwrap().to_owned();
        self.asked.lock().unwrap().push(asked);
        Ok(serde_json::from_value(self.answer.clone()).unwrap())
    }
}

#[tokio::test]
async fn the_person_in_front_of_the_client_agrees_where_the_token_says_so() {
    let daemon = Daemon::start().await;
    let token = async |name: &str, approval: &str| {
        let body = json!({"name": name, "grant": "operate", "approval": approval}).to_string();
        daemon.post("/api/tokens", &body).await.body["token"].as_str().unwrap().to_owned()
    };
    let (asking, plain) = (token("asking", "elicitation").await, token("plain", "person").await);
    let yes = json!({"action": "accept", "content": {"approve": true}});
    let no = json!({"action": "decline"});
    let mut at = 0;
    for lifecycle in revisions() {
        for (token, answer, questions, removed) in
            [(&asking, &yes, 1, true), (&asking, &no, 1, false), (&plain, &yes, 0, false)]
        {
            at += 1;
            let name = format!("web-{at}");
            daemon.post("/api/workloads", &json!({"name": name, "image": "web:1"}).to_string()).await;
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_univrs"));
            command
                .args(["mcp", "--server", &format!("http://127.0.0.1:{}", daemon.port)])
                .env("UNIVRS_TOKEN", token);
            let handler = Asking { answer: answer.clone(), asked: std::sync::Arc::default() };
            let transport = TokioChildProcess::new(command).unwrap();
            let client =
                serve_client_with_lifecycle(handler.clone(), transport, lifecycle.clone()).await.unwrap();
            let call = async |tool: &'static str, arguments: Value| {
                let mut request = CallToolRequestParams::new(tool);
                request.arguments = arguments.as_object().cloned();
                client.call_tool(request).await.unwrap()
            };
            let plan = call("workload_delete", json!({"name": name})).await.structured_content.unwrap();
            let given = json!({"plan_id": plan["plan_id"], "digest": plan["digest"]});
            // The model cannot say it for the person.
            let mut lie = given.clone();
            lie["agreed"] = json!(true);
            assert_eq!(call("plan_apply", lie).await.is_error, Some(true));
            let applied = call("plan_apply", given).await;
            let case = format!("{name}: {answer} {applied:?}");
            assert_eq!(applied.is_error == Some(true), !removed, "{case}");
            let asked = handler.asked.lock().unwrap().clone();
            assert_eq!(asked.len(), questions, "{case}");
            assert!(asked.iter().all(|text| text.contains(&format!("removes workload {name}"))), "{asked:?}");
            let state = daemon.get(&format!("/api/plans/{}", plan["plan_id"].as_str().unwrap())).await;
            let expected = if removed { "applied" } else { "waiting_for_approval" };
            assert_eq!(state.body["status"], expected, "{case}");
            client.cancel().await.unwrap();
        }
    }
}
