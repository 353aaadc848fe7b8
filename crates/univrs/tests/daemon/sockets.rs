//! `/ws/orchestrator` as a client sees it: a snapshot, then changes in order; from a revision on without one; and a word
//! when it cannot go on.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::harness::{Daemon, PATIENCE};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(daemon: &Daemon, subscription: &Value) -> Self {
        let url = daemon.origin.replace("http", "ws") + "/ws/orchestrator";
        let mut socket = Self(tokio_tungstenite::connect_async(url).await.unwrap().0);
        socket.say(subscription).await;
        socket
    }

    async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let next = async {
            loop {
                match self.0.next().await.expect("the socket is open").unwrap() {
                    Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                    Message::Ping(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("the server says something")
    }

    /// Messages up to the first that is such.
    async fn until(&mut self, test: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let message = self.next().await;
            let found = test(&message);
            heard.push(message);
            if found {
                return heard;
            }
        }
    }
}

fn revision(message: &Value) -> u64 {
    message["revision"].as_u64().unwrap()
}

/// The workload runs as it was last asked to.
fn runs(message: &Value) -> bool {
    message["data"]["name"] == "web" && message["data"]["status"] == "running"
}

#[tokio::test]
async fn changes_come_in_order_and_can_be_taken_up_again() {
    let daemon = Daemon::start().await;
    let mut first = Socket::open(&daemon, &json!({"subscribe": ["workloads", "events"]})).await;
    let snapshot = first.next().await;
    assert_eq!((&snapshot["type"], &snapshot["data"]["workloads"]), (&json!("snapshot"), &json!([])));

    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1"}"#).await;
    let heard = first.until(runs).await;
    assert!(heard.iter().all(|message| message["at"].is_string()), "{heard:#?}");
    let revisions: Vec<u64> = heard.iter().map(revision).collect();
    assert!(revisions.is_sorted() && revisions[0] > revision(&snapshot), "{revisions:?}");
    let kinds: Vec<&str> = heard.iter().filter_map(|message| message["type"].as_str()).collect();
    assert!(kinds.iter().any(|kind| *kind != kinds[0]), "workloads and events: {kinds:?}");

    // From what the first snapshot held on, without another one, no event is missing and none comes twice.
    let since = json!({"subscribe": ["workloads", "events"], "since": revision(&snapshot)});
    let mut again = Socket::open(&daemon, &since).await;
    let events = heard.iter().filter(|message| message["type"] == "event");
    for event in events {
        let message = again.until(|message| message["type"] == "event").await.pop().unwrap();
        assert_eq!(message["data"], event["data"]);
    }
}

#[tokio::test]
async fn what_cannot_go_on_says_so() {
    let daemon = Daemon::start().await;
    // A fault leaves the socket open: the next message may be a good one.
    let mut socket = Socket::open(&daemon, &json!({"subscribe": ["workload"]})).await;
    let fault = socket.next().await;
    assert_eq!((&fault["type"], fault["data"]["detail"].is_string()), (&json!("error"), true), "{fault}");
    socket.say(&json!({"subscribe": ["nodes"]})).await;
    assert_eq!(socket.next().await["data"]["nodes"][0]["name"], "one");
    // A revision that this history never had, as after a backup was restored.
    let future = json!({"subscribe": ["workloads"], "since": 1_000_000_000});
    assert_eq!(Socket::open(&daemon, &future).await.next().await, json!({"type": "resync"}));
}
