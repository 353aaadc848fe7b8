//! Bad input gets a clear answer that names the field, and changes nothing.

use reqwest::{Method, StatusCode};

use crate::harness::{Daemon, free_port, univrs};

#[tokio::test]
async fn wrong_workloads_are_refused_by_field() {
    let daemon = Daemon::start().await;
    for (body, status, field) in [
        (r#"{"name":"web","image":"web","replica":2}"#, 400, "replica"),
        (r#"{"name":"Web","image":"web"}"#, 400, "name"),
        (r#"{"name":"web"}"#, 422, "image"),
        (r#"{"name":"web","image":"web","replicas":-1}"#, 400, "replicas"),
        (r#"{"name":"web","image":"web","replicas":999999}"#, 422, "replicas"),
        (
            r#"{"name":"web","containers":[{"name":"a","image":"w","resources":{"cpu":"0"}}]}"#,
            422,
            "containers[0].resources.cpu",
        ),
        (
            r#"{"name":"web","containers":[{"name":"a","image":"w","resources":{"memory":"-5"}}]}"#,
            400,
            "containers[0].resources.memory",
        ),
        (
            r#"{"name":"web","containers":[{"name":"a","image":"w","resources":{"cpu":"10001"}}]}"#,
            422,
            "containers[0].resources.cpu",
        ),
        (
            r#"{"name":"web","containers":[{"name":"a","image":"w","resources":{"memory":"99999999999Ti"}}]}"#,
            400,
            "containers[0].resources.memory",
        ),
        (r#"{"name":"web","image":"web","volumes":[{"name":"data","size":"0"}]}"#, 422, "volumes[0].size"),
        (
            r#"{"name":"web","image":"web","kind":"cron","schedule":{"cron":"0 0 30 2 *"}}"#,
            422,
            "schedule.cron",
        ),
        (r#"{"name":"web","image":"web","depends_on":[{"workload":"web"}]}"#, 422, "depends_on[0].workload"),
        (
            r#"{"name":"web","image":"web","placement":{"constraints":["cluod == aws"]}}"#,
            422,
            "placement.constraints[0]",
        ),
        (r#"{"name":"web","image":"web","secrets":[{"name":"db"}]}"#, 422, "secrets[0]"),
        ("not json", 400, ""),
        ("", 400, ""),
    ] {
        let answer = daemon.post("/api/workloads", body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.body);
        assert_eq!(answer.body["field"].as_str().unwrap_or(""), field, "{body}: {}", answer.body);
        assert!(answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    }
    let list = daemon.get("/api/workloads").await;
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn an_unknown_field_gets_a_suggestion() {
    let daemon = Daemon::start().await;
    let answer = daemon.post("/api/workloads", r#"{"name":"web","image":"web","replica":2}"#).await;
    assert_eq!(answer.body["hint"], "did you mean `replicas`?");
}

#[tokio::test]
async fn waiting_in_a_circle_is_refused() {
    let daemon = Daemon::start().await;
    let first = r#"{"name":"a","image":"a:1","depends_on":[{"workload":"b"}]}"#;
    assert_eq!(daemon.post("/api/workloads", first).await.status, StatusCode::CREATED);
    let second = r#"{"name":"b","image":"b:1","depends_on":[{"workload":"a"}]}"#;
    let answer = daemon.post("/api/workloads", second).await;
    assert_eq!((answer.status.as_u16(), answer.body["field"].as_str()), (422, Some("depends_on")));
}

#[tokio::test]
async fn content_types_and_sites_are_checked() {
    let daemon = Daemon::start().await;
    let body = r#"{"name":"web","image":"web:1"}"#;
    let post = || daemon.request(Method::POST, "/api/workloads").body(body);
    let answer = daemon.send(post().header("content-type", "text/plain")).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let form = "application/x-www-form-urlencoded";
    let answer =
        daemon.send(post().header("content-type", form).header("sec-fetch-site", "same-origin")).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = daemon.send(post().header("origin", "http://evil.example")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = daemon.send(post().header("host", "evil.example")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = daemon.send(post().header("content-type", form)).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn writes_are_guarded_by_revision_and_key() {
    let daemon = Daemon::start().await;
    let create = |key: &'static str, body: &'static str| {
        daemon.request(Method::POST, "/api/workloads").header("idempotency-key", key).body(body)
    };
    let body = r#"{"name":"web","image":"web:1"}"#;
    let first = daemon.send(create("k1", body)).await;
    let again = daemon.send(create("k1", body)).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.body["id"], again.body["id"]);
    let other = daemon.send(create("k1", r#"{"name":"other","image":"web:1"}"#)).await;
    assert_eq!((other.status.as_u16(), other.body["code"].as_str()), (409, Some("idempotency_key_reused")));
    assert_eq!(daemon.post("/api/workloads", body).await.status, StatusCode::CONFLICT);

    let etag = first.etag.unwrap();
    let patch = |etag: &str| {
        daemon
            .request(Method::PATCH, "/api/workloads/web")
            .header("if-match", etag.to_owned())
            .body(r#"{"replicas":2}"#)
    };
    assert_eq!(daemon.send(patch(&etag)).await.status, StatusCode::OK);
    let stale = daemon.send(patch(&etag)).await;
    assert_eq!((stale.status.as_u16(), stale.body["code"].as_str()), (412, Some("stale")));
}

#[tokio::test]
async fn nodes_are_guarded_as_workloads_are() {
    let daemon = Daemon::start().await;
    let old = daemon.get("/api/nodes/one").await.etag.unwrap();
    let cordon = |etag: &str| {
        daemon.request(Method::POST, "/api/nodes/one/cordon").header("if-match", etag.to_owned())
    };
    assert_eq!(daemon.send(cordon(&old)).await.status, StatusCode::OK);
    for (method, path) in [
        (Method::POST, "/api/nodes/one/uncordon"),
        (Method::DELETE, "/api/nodes/one"),
        (Method::PATCH, "/api/nodes/one"),
    ] {
        let stale = daemon.request(method.clone(), path).header("if-match", old.clone()).body("{}");
        let stale = daemon.send(stale).await;
        assert_eq!(
            (stale.status.as_u16(), stale.body["code"].as_str()),
            (412, Some("stale")),
            "{method} {path}: {}",
            stale.body
        );
    }
    // The same drain asked for again is the same drain, also when it has ended.
    let drain = |deadline: &str| {
        let path = format!("/api/nodes/one/drain?deadline={deadline}");
        daemon.request(Method::POST, &path).header("idempotency-key", "drain")
    };
    let first = daemon.send(drain("1m")).await.body["operation"]["id"].clone();
    let path = format!("/api/operations/{}", first.as_str().unwrap());
    daemon.until("it has ended", async || daemon.get(&path).await.body["status"] == "succeeded").await;
    assert_eq!(daemon.send(drain("1m")).await.body["operation"]["id"], first);
    let other = daemon.send(drain("2m")).await;
    assert_eq!((other.status.as_u16(), other.body["code"].as_str()), (409, Some("idempotency_key_reused")));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let daemon = Daemon::start().await;
    let answer = daemon.post("/api/workloads", &" ".repeat(2 << 20)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_does_not_exist_is_said_with_a_neighbour() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", r#"{"name":"frontend","image":"web:1"}"#).await;
    let answer = daemon.get("/api/workloads/fronted").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.body["hint"], "did you mean `frontend`?");
    assert_eq!(daemon.get("/api/nothing").await.body["code"], "no_such_path");
}

#[tokio::test]
async fn a_second_daemon_and_a_taken_port_are_told_apart() {
    let daemon = Daemon::start().await;
    let up = |dir: &std::path::Path, port: u16| {
        let output = univrs()
            .args(["up", "--runtime", "simulated", "--api", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(dir)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = up(daemon.dir.path(), free_port());
    assert_eq!(code, Some(1));
    assert!(text.contains("another daemon") && text.contains("hint:"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    let (code, text) = up(empty.path(), daemon.port);
    assert_eq!(code, Some(1));
    assert!(text.contains("cannot listen on") && text.contains("hint:"), "{text}");
}

#[tokio::test]
async fn a_taken_port_of_peers_is_said_and_everything_else_works() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let flags = ["--runtime", "simulated", "--node-listen", "127.0.0.1:0", "--port", &port];
    let daemon = Daemon::start_with(&flags).await;
    daemon.until("it is said", async || daemon.log().contains("this node has no peers")).await;
    assert_eq!(daemon.get("/api/peers").await.body["items"], serde_json::json!([]));
    let answer = daemon.post("/api/workloads", r#"{"name":"web","image":"web:1"}"#).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    daemon.until_status("web", "running").await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = (file("cert.pem", "no certificate"), file("key.pem", "no key"));
    let up = |arguments: &[&std::path::Path]| {
        let mut command = univrs();
        command.args(["up", "--runtime", "simulated", "--api", &format!("127.0.0.1:{}", free_port())]);
        for (flag, value) in ["--ingress-cert", "--ingress-key"].iter().zip(arguments) {
            command.arg(flag).arg(value);
        }
        let output = command.arg("--data-dir").arg(dir.path().join("data")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = up(&[&cert, &key]);
    assert_eq!(code, Some(1));
    assert!(text.contains("cert.pem") && text.contains("hint:"), "{text}");
    let (code, text) = up(&[&dir.path().join("nowhere.pem"), &key]);
    assert_eq!(code, Some(1));
    assert!(text.contains("nowhere.pem"), "{text}");
    let (code, text) = up(&[&cert]);
    assert_eq!(code, Some(2));
    assert!(text.contains("--ingress-key"), "{text}");
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}
