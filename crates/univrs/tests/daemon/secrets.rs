//! Secrets through the real daemon: who may not see them, what waits for them, what follows their change.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::harness::{Daemon, free_port, univrs};

const CANARY: &str = "canary-c4ca4238a0b923820dcc";

pub(crate) async fn set(daemon: &Daemon, name: &str, value: &str) -> crate::harness::Answer {
    let body = serde_json::json!({ "value": value }).to_string();
    daemon.send(daemon.request(Method::PUT, &format!("/api/secrets/{name}")).body(body)).await
}

/// Files below `dir` that hold `text`.
pub(crate) fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // What the daemon removes meanwhile holds nothing.
    let Ok(entries) = std::fs::read_dir(dir) else { return found };
    for entry in entries.filter_map(Result::ok) {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            found.extend(holding(&entry.path(), text));
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_value_is_never_seen_again() {
    let mut daemon = Daemon::start().await;
    assert_eq!(set(&daemon, "db", "first").await.status, StatusCode::CREATED);
    let again = set(&daemon, "db", CANARY).await;
    assert_eq!((again.status, again.body["version"].as_u64()), (StatusCode::OK, Some(2)));
    let body = r#"{"name":"web","image":"web:1","secrets":[{"name":"db","env":"DB","file":"/run/db"}]}"#;
    daemon.post("/api/workloads", body).await;
    daemon.until_status("web", "running").await;
    for path in [
        "/api/secrets",
        "/api/secrets/db",
        "/api/workloads",
        "/api/workloads/web/explain",
        "/api/workloads/web/history",
        "/api/workloads/web/instances",
        "/api/events",
        "/api/audit",
        "/metrics",
    ] {
        let answer = daemon.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.body.to_string().contains(CANARY), "{path} shows it");
    }
    let plan = daemon.post("/api/workloads?dry_run=true", &body.replace("web:1", "web:2")).await;
    assert!(!plan.body.to_string().contains(CANARY));
    let list = daemon.get("/api/secrets").await.body;
    assert_eq!(
        (&list["items"][0]["name"], &list["items"][0]["used_by"][0]),
        (&Value::from("db"), &Value::from("web"))
    );
    assert_eq!(holding(daemon.dir.path(), CANARY), Vec::<String>::new());
    daemon.crash_and_restart().await;
    daemon.until_status("web", "running").await;
    assert_eq!(holding(daemon.dir.path(), CANARY), Vec::<String>::new());
}

#[tokio::test]
async fn what_needs_a_missing_secret_waits_and_says_so() {
    let daemon = Daemon::start().await;
    let body = r#"{"name":"web","image":"web:1","secrets":[{"name":"db","env":"DB"}]}"#;
    assert_eq!(daemon.post("/api/workloads", body).await.status, StatusCode::CREATED);
    let reason = "waiting for secret db, which does not exist";
    let says = |text: &Value| text.as_str().is_some_and(|text| text.starts_with(reason));
    daemon
        .until("the reason is told", async || {
            says(&daemon.get("/api/workloads/web/explain").await.body["message"])
        })
        .await;
    let told = |events: &Value| {
        events["items"].as_array().unwrap().iter().filter(|event| event["kind"] == "workload_waiting").count()
    };
    let look = async || daemon.get("/api/events").await.body;
    let events = daemon.until_seen("an event tells it", look, |events| told(events) > 0).await;
    assert_eq!(told(&events), 1, "{events}");
    let instances = daemon.get("/api/workloads/web/instances").await.body;
    assert_eq!(instances["items"].as_array().map(Vec::len), Some(0), "nothing is started in vain");
    set(&daemon, "db", "x").await;
    daemon.until_status("web", "running").await;
}

#[tokio::test]
async fn a_changed_secret_acts_as_its_use_says() {
    let daemon = Daemon::start().await;
    set(&daemon, "db", "one").await;
    for (name, on_change) in [("rolls", "restart"), ("signalled", "signal"), ("deaf", "none")] {
        let body = format!(
            r#"{{"name":"{name}","image":"web:1","secrets":[{{"name":"db","file":"/run/db","on_change":"{on_change}"}}]}}"#
        );
        daemon.post("/api/workloads", &body).await;
        daemon.until_status(name, "running").await;
    }
    set(&daemon, "db", "two").await;
    daemon
        .until("the first is rolled and the second told", async || {
            let rolled = daemon.get("/api/workloads/rolls").await.body;
            let events = daemon.get("/api/events").await.body;
            let told = events["items"]
                .as_array()
                .unwrap()
                .iter()
                .any(|event| event["kind"] == "secret_renewed" && event["workload"] == "signalled");
            rolled["version"] == 2 && rolled["status"] == "running" && told
        })
        .await;
    for name in ["signalled", "deaf"] {
        assert_eq!(daemon.get(&format!("/api/workloads/{name}")).await.body["version"], 1, "{name}");
    }
}

#[tokio::test]
async fn a_secret_in_use_is_removed_by_force_only() {
    let daemon = Daemon::start().await;
    set(&daemon, "db", "one").await;
    daemon
        .post("/api/workloads", r#"{"name":"web","image":"web:1","secrets":[{"name":"db","env":"DB"}]}"#)
        .await;
    let delete = |path: &str| daemon.request(Method::DELETE, path);
    let refused = daemon.send(delete("/api/secrets/db")).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body["detail"].as_str().unwrap().contains("used by web"), "{}", refused.body);
    assert_eq!(daemon.send(delete("/api/secrets/db?force=true")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(daemon.send(delete("/api/secrets/db")).await.status, StatusCode::NOT_FOUND);
    let events = daemon.get("/api/audit").await.body.to_string();
    assert!(events.contains("removed secret db"), "{events}");
}

#[tokio::test]
async fn bad_secrets_are_refused_without_repeating_them() {
    let daemon = Daemon::start().await;
    let put = |path: &str, body: String| daemon.request(Method::PUT, path).body(body);
    let large = serde_json::json!({ "value": "x".repeat(70_000) }).to_string();
    for (path, body, status, field) in [
        ("/api/secrets/DB", format!(r#"{{"value":"{CANARY}"}}"#), 400, "name"),
        ("/api/secrets/db", format!(r#"{{"valeu":"{CANARY}"}}"#), 400, "valeu"),
        ("/api/secrets/db", format!(r#"{{"value":["{CANARY}"]}}"#), 400, "value"),
        ("/api/secrets/db", format!(r#"{{"base64":"{CANARY}"}}"#), 422, "base64"),
        ("/api/secrets/db", format!(r#"{{"value":"{CANARY}","base64":""}}"#), 422, "base64"),
        ("/api/secrets/db", "{}".to_owned(), 422, "value"),
        ("/api/secrets/db", format!(r#""{CANARY}""#), 400, ""),
        ("/api/secrets/db", format!(r#"{{"value":"{CANARY}""#), 400, ""),
        ("/api/secrets/db", large, 422, "value"),
    ] {
        let answer = daemon.send(put(path, body)).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
        assert_eq!(answer.body["field"].as_str().unwrap_or(""), field, "{}", answer.body);
        assert!(!answer.body.to_string().contains(CANARY), "{}", answer.body);
    }
    assert_eq!(daemon.get("/api/secrets/db").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_lost_key_is_said_and_never_replaced() {
    let mut daemon = Daemon::start().await;
    set(&daemon, "db", "one").await;
    daemon.stop();
    let key = daemon.dir.path().join("secrets.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let up = || {
        let output = univrs()
            .args([
                "up",
                "--runtime",
                "simulated",
                "--api",
                &format!("127.0.0.1:{}", free_port()),
                "--data-dir",
            ])
            .arg(daemon.dir.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = up();
    assert!(
        text.contains("secrets.key") && text.contains("it is not there") && text.contains("hint:"),
        "{text}"
    );
    assert!(!key.exists());
    let write = |bytes: &[u8]| {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&key)
            .unwrap()
            .write_all(bytes)
            .unwrap();
    };
    write(&[7; 32]);
    let text = up();
    assert!(text.contains("another key"), "{text}");
    write(&kept);
    daemon.crash_and_restart().await;
    assert_eq!(daemon.get("/api/secrets/db").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_command_line_sets_lists_and_removes() {
    let daemon = Daemon::start().await;
    let run = |words: &[&str], input: &[u8]| {
        use std::io::Write as _;
        use std::process::Stdio;
        let server = format!("http://127.0.0.1:{}", daemon.port);
        let mut child = univrs()
            .args(["--server", &server])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may be gone already.
        drop(child.stdin.take().unwrap().write_all(input));
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), text.concat())
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("value");
    std::fs::write(&file, [0xff, 0, 0xfe]).unwrap();
    let (code, text) = run(&["secret", "set", "db", "--value", "-"], format!("{CANARY}\n").as_bytes());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("version 1") && !text.contains(CANARY), "{text}");
    let (code, text) = run(&["secret", "set", "db", "--from-file", file.to_str().unwrap()], b"");
    assert_eq!(code, Some(0), "bytes that are not text travel too: {text}");
    let (code, text) = run(&["secret", "ls"], b"");
    assert!(code == Some(0) && text.contains("db") && text.contains('2'), "{text}");
    let (code, text) = run(&["secret", "set", "db", "--value", CANARY], b"");
    assert_eq!(code, Some(2), "a value on the command line is refused: {text}");
    let (code, text) = run(&["-y", "secret", "rm", "db"], b"");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(run(&["-y", "secret", "rm", "db"], b"").0, Some(3));
    let (code, text) = run(&["volume", "ls"], b"");
    assert_eq!(code, Some(0), "{text}");
}
