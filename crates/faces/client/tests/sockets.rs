//! The WebSockets against a small server: tunnels, live events, and refusals.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use univrs_client::{Client, ClientOptions, Error};

/// Sends back what comes, then says in its turn that it will send no more.
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(Message::Binary(bytes))) = socket.recv().await {
            let last = bytes.is_empty();
            socket.send(Message::Binary(bytes)).await.unwrap();
            if last {
                break;
            }
        }
    })
}

/// Sends what was subscribed to, then one event, then closes; only to who has the token.
async fn events(headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if headers.get("sec-websocket-protocol").is_none_or(|value| value != "univrs.bearer.t0k") {
        let problem = r#"{"title":"denied","status":401,"detail":"no token"}"#;
        return (StatusCode::UNAUTHORIZED, problem).into_response();
    }
    upgrade.on_upgrade(async |mut socket| {
        let Some(Ok(Message::Text(subscribe))) = socket.recv().await else { panic!("no subscription") };
        let snapshot = format!(r#"{{"type":"snapshot","revision":3,"data":{subscribe}}}"#);
        socket.send(Message::Text(snapshot.into())).await.unwrap();
        socket.send(Message::Ping("".into())).await.unwrap();
        let event = r#"{"type":"event","revision":4,"at":"2026-01-01T00:00:00Z","data":{"message":"x"}}"#;
        socket.send(Message::Text(event.into())).await.unwrap();
        socket.send(Message::Close(None)).await.unwrap();
    })
}

async fn client(token: Option<&str>) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let router = axum::Router::new()
        .route("/api/workloads/{name}/proxy", get(echo))
        .route("/ws/orchestrator", get(events))
        .route("/api/workloads/{name}", get(async || tokio::time::sleep(Duration::from_secs(60)).await));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let timeout = Duration::from_millis(300);
    Client::new(ClientOptions {
        server,
        token: token.map(str::to_owned),
        org: None,
        timeout,
        authorities: None,
        dry_run: false,
    })
    .unwrap()
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_ends_when_both_ends_do() {
    let client = client(None).await;
    let (mut near, far) = tokio::io::duplex(1024);
    let sent: Vec<u8> = (0..200_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let talk = async {
        let (mut reader, mut writer) = tokio::io::split(&mut near);
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let ((), read) = tokio::join!(write, reader.read_to_end(&mut received));
        read.unwrap();
        received
    };
    let (forwarded, received) = tokio::join!(client.forward("web", 80, far), talk);
    forwarded.unwrap();
    assert!(received == sent);
}

#[tokio::test]
async fn live_events_follow_the_subscription() {
    let client = client(Some("t0k")).await;
    let mut follower = client.follow(&["events"], Some(2)).await.unwrap();
    let snapshot = follower.next().await.unwrap().unwrap();
    assert_eq!((snapshot.kind.as_str(), snapshot.revision), ("snapshot", 3));
    assert_eq!(snapshot.data, serde_json::json!({"since": 2, "subscribe": ["events"]}));
    let event = follower.next().await.unwrap().unwrap();
    assert_eq!((event.kind.as_str(), event.revision), ("event", 4));
    assert!(follower.next().await.unwrap().is_none());
}

#[tokio::test]
async fn refused_sockets_carry_the_reason() {
    let client = client(None).await;
    let Err(Error::Problem(problem)) = client.follow(&["events"], None).await.map(|_| ()) else {
        panic!("not refused");
    };
    assert_eq!((problem.status, problem.detail.as_str()), (401, "no token"));
    let error = client.exec("web", &univrs_client::ExecOptions::default()).await.map(|_| ()).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_timeout() {
    let error = client(None).await.workload("web").await.map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(error.exit_code(), 6);
}
