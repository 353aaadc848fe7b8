//! Organisations and tokens through the real program: made with its commands, used over its API.

use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Daemon, PATIENCE, univrs};

impl Daemon {
    /// Runs a command against this daemon: its exit code, standard output and standard error.
    fn command(&self, line: &str) -> (i32, String, String) {
        let server = format!("http://127.0.0.1:{}", self.port);
        let begun = std::time::Instant::now();
        loop {
            let output = univrs().args(["--server", &server]).args(line.split_whitespace()).output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let said = text(&output.stderr);
            // A machine that stood still has to find its leader anew.
            let again = said.contains("the store is unavailable") && begun.elapsed() < PATIENCE;
            if !again {
                return (output.status.code().unwrap(), text(&output.stdout), said);
            }
        }
    }
}

#[tokio::test]
async fn a_token_opens_its_organisation_until_it_is_revoked() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1"}"#).await;
    assert_eq!(daemon.command("org create acme").0, 0);
    let (code, token, said) = daemon.command("token create ci --grant operate --org acme");
    let token = token.trim();
    assert!(code == 0 && token.starts_with("univrs_tk_") && said.contains("not shown again"), "{said}");

    let (code, listed, _) = daemon.command(&format!("ls -o name --token {token}"));
    assert_eq!((code, listed.as_str()), (0, ""));
    let (code, _, said) = daemon.command(&format!("run web:1 --name own --detach --token {token}"));
    assert_eq!(code, 0, "{said}");
    assert_eq!(daemon.command(&format!("ls -o name --token {token}")).1, "own\n");
    assert_eq!(daemon.command("ls -o name").1, "web\n");
    let (code, _, said) = daemon.command(&format!("node cordon one --token {token}"));
    assert!(code == 5 && said.contains("cluster_objects"), "{code} {said}");
    let (code, _, said) = daemon.command(&format!("ls --org default --token {token}"));
    assert!(code == 5 && said.contains("own_organisation"), "{code} {said}");

    let (code, _, said) = daemon.command("token revoke ci --org acme -y");
    assert_eq!(code, 0, "{said}");
    let (code, _, said) = daemon.command(&format!("ls --token {token}"));
    assert!(code == 5 && said.contains("revoked"), "{code} {said}");
    let (_, log, _) = daemon.command("audit ls --org acme -o json");
    let log: serde_json::Value = serde_json::from_str(&log).unwrap();
    let of = |entry: &serde_json::Value| {
        format!("{} {}", entry["action"].as_str().unwrap(), entry["object"].as_str().unwrap())
    };
    let own = log["items"].as_array().unwrap().iter().map(of).collect::<Vec<_>>();
    for entry in ["org_write org/acme", "token_write token/ci", "workload_write workload/own"] {
        assert!(own.iter().any(|found| found == entry), "{entry} is not in {own:?}");
    }
    assert!(!own.iter().any(|found| found.ends_with("workload/web")), "{own:?}");
}

#[tokio::test]
async fn a_socket_ends_with_its_token() {
    let daemon = Daemon::start().await;
    let made = daemon.post("/api/tokens", r#"{"name":"watch"}"#).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let token = made.body["token"].as_str().unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", daemon.port)).await.unwrap();
    let ask = format!(
        "GET /ws/orchestrator HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: univrs.bearer.{token}\r\n\r\n"
    );
    socket.write_all(ask.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains(&format!("sec-websocket-protocol: univrs.bearer.{token}")), "{head}");

    let id = made.body["id"].as_str().unwrap();
    let revoked = daemon.send(daemon.request(Method::DELETE, &format!("/api/tokens/{id}"))).await;
    assert_eq!(revoked.status, StatusCode::OK);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(crate::harness::PATIENCE, socket.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the socket outlived its token");
}

#[tokio::test]
async fn tokens_and_organisations_outlive_the_daemon() {
    let mut daemon = Daemon::start().await;
    daemon.post("/api/orgs", r#"{"name":"acme"}"#).await;
    let made = daemon.post("/api/tokens?org=acme", r#"{"name":"ci"}"#).await.body;
    daemon.crash_and_restart().await;
    let request = daemon.request(Method::GET, "/api/orgs").bearer_auth(made["token"].as_str().unwrap());
    let orgs = daemon.send(request).await;
    assert_eq!((orgs.status, &orgs.body["items"][0]["name"]), (StatusCode::OK, &"acme".into()));
    assert_eq!(daemon.get("/api/orgs").await.body["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn the_cluster_names_who_leads_and_votes() {
    let daemon = Daemon::start().await;
    let cluster = daemon.get("/api/cluster").await.body;
    assert_eq!((&cluster["leader"], &cluster["voters"]), (&"one".into(), &serde_json::json!(["one"])));
}

#[tokio::test]
async fn a_socket_whose_address_says_what_it_wants_begins_at_once() {
    let daemon = Daemon::start().await;
    let open = async |query: &str| {
        let url = format!("ws://127.0.0.1:{}/ws/orchestrator?{query}", daemon.port);
        tokio_tungstenite::connect_async(url).await
    };
    let (mut socket, _) = open("subscribe=workloads,nodes").await.unwrap();
    let first = tokio::time::timeout(PATIENCE, futures::StreamExt::next(&mut socket)).await.unwrap().unwrap();
    let first: serde_json::Value = serde_json::from_str(first.unwrap().to_text().unwrap()).unwrap();
    assert_eq!((&first["type"], &first["data"]["nodes"][0]["name"]), (&"snapshot".into(), &"one".into()));
    assert!(first["data"]["workloads"].is_array() && first["data"]["instances"].is_null(), "{first}");
    let refused = open("subscribe=workloads,everything").await.unwrap_err().to_string();
    assert!(refused.contains("400"), "{refused}");
}
