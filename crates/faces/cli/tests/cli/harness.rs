//! A server that gives canned answers and remembers the questions.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Cursor, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use univrs_cli::{Exit, Invocation, Io, execute, try_parse};
use univrs_model::Timestamp;

/// One answer: status, body, and headers.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let kind = if status < 400 { "application/json" } else { "application/problem+json" };
        Self { status, body: body.to_string().into_bytes(), headers: vec![("content-type", kind.to_owned())] }
    }

    pub(crate) fn text(body: &str) -> Self {
        Self { status: 200, body: body.as_bytes().to_vec(), headers: Vec::new() }
    }

    pub(crate) fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.push((header, value.to_owned()));
        self
    }
}

/// A question that was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method, path and query.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Script {
    /// Answers by `METHOD /path`; the last one is given again and again.
    answers: BTreeMap<String, VecDeque<Answer>>,
    asked: Vec<Asked>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Fake {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

async fn reply(
    State(fake): State<Fake>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut script = fake.script.lock().unwrap();
    script.asked.push(Asked { line: format!("{method} {uri}"), headers, body: body.to_vec() });
    let key = format!("{method} {}", uri.path());
    let dry = format!("{key}?dry_run");
    let key = if uri.query().unwrap_or_default().contains("dry_run=true") { dry } else { key };
    let answer = match script.answers.get_mut(&key) {
        Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
        Some(queue) => queue[0].clone(),
        None => Answer::json(
            404,
            &json!({"title": "not found", "status": 404, "detail": format!("nothing at {key}")}),
        ),
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

/// Says what it was told, then ends with code 7.
async fn exec(State(fake): State<Fake>, uri: Uri, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let asked = Asked { line: format!("GET {uri}"), headers, body: Vec::new() };
    fake.script.lock().unwrap().asked.push(asked);
    if uri.path().contains("missing") {
        let problem = br#"{"title":"not found","status":404,"detail":"no workload `missing`"}"#;
        return Response::builder().status(404).body(Body::from(problem.as_slice())).unwrap();
    }
    upgrade.on_upgrade(async |mut socket| {
        let mut told = b"\x01".to_vec();
        while let Some(Ok(message)) = socket.recv().await {
            match message {
                Message::Binary(frame) if frame[..] == [0] => break,
                Message::Binary(frame) if frame[0] == 0 => told.extend(&frame[1..]),
                _ => {}
            }
        }
        for frame in [told, b"\x02oh".to_vec(), b"\x03{\"code\":7}".to_vec()] {
            socket.send(Message::Binary(frame.into())).await.unwrap();
        }
    })
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { address: listener.local_addr().unwrap(), script: Arc::default() };
        let router = axum::Router::new()
            .route("/api/workloads/{name}/exec", get(exec))
            .fallback(reply)
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    /// Answers `METHOD /path` with these, one after the other; add `?dry_run` for plans.
    pub(crate) fn on(&self, key: &str, answers: impl IntoIterator<Item = Answer>) -> &Self {
        self.script.lock().unwrap().answers.insert(key.to_owned(), answers.into_iter().collect());
        self
    }

    pub(crate) fn on_json(&self, key: &str, body: Value) -> &Self {
        self.on(key, [Answer::json(200, &body)])
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }

    /// The writes that were asked for, dry runs left out.
    pub(crate) fn writes(&self) -> Vec<Asked> {
        let asked = self.asked().into_iter();
        asked.filter(|asked| !asked.line.starts_with("GET ") && !asked.line.contains("dry_run")).collect()
    }

    pub(crate) fn write_lines(&self) -> Vec<String> {
        self.writes().into_iter().map(|asked| asked.line).collect()
    }

    /// Runs a command line without anybody who could be asked.
    pub(crate) async fn univrs(&self, line: &str) -> Ran {
        self.run(line, "", false).await
    }

    /// Runs a command line with a person who answers this.
    pub(crate) async fn asking(&self, line: &str, answer: &str) -> Ran {
        self.run(line, answer, true).await
    }

    /// Runs a command line with this on standard input.
    pub(crate) async fn fed(&self, line: &str, input: &str) -> Ran {
        self.run(line, input, false).await
    }

    async fn run(&self, line: &str, input: &str, person: bool) -> Ran {
        univrs(&format!("http://{}", self.address), line, input, person).await
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn code(&self) -> u8 {
        self.exit.code()
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// One hour after everything in [`workload`] and [`instance`] was made.
fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

pub(crate) async fn univrs(server: &str, line: &str, input: &str, person: bool) -> Ran {
    let words = ["univrs", "--server", server].into_iter().chain(line.split_whitespace());
    let invocation = try_parse(words.map(Into::into)).unwrap_or_else(|error| panic!("{error}"));
    let Invocation::Client(command) = invocation else { panic!("not for a server") };
    let (out, err) = (Buffer::default(), Buffer::default());
    let io = Io::piped(out.clone(), err.clone(), Cursor::new(input.to_owned()), now);
    let mut io = if person { io.with_person() } else { io };
    let exit = execute(*command, &mut io).await;
    Ran { exit, out: out.text(), err: err.text() }
}

/// A workload `web` of three replicas; `changes` replaces members.
pub(crate) fn workload(changes: Value) -> Value {
    let mut view = json!({
        "id": "wl_web", "name": "web", "org": "default", "revision": 7,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:30:00Z",
        "spec": {"name": "web", "image": "web:1", "replicas": 3},
        "generation": 2, "observed_generation": 2, "status": "running", "message": "",
        "version": 2, "reverted_from": null, "replicas": 3, "instances": 3, "ready": 3, "updated": 3});
    merge(&mut view, changes);
    view
}

/// An instance `in_a` of `web`; `changes` replaces members.
pub(crate) fn instance(changes: Value) -> Value {
    let mut view = json!({
        "id": "in_a", "workload": "web", "workload_revision": 2, "node": "nd_1", "node_name": "alpha",
        "cloud": "local", "region": "local", "address": "10.0.0.2", "phase": "running", "health": "passing",
        "image": "web:1", "started_at": "2026-01-01T00:00:10Z", "exit_code": null, "restarts": 0,
        "reachable": true, "message": "", "created_at": "2026-01-01T00:00:00Z"});
    merge(&mut view, changes);
    view
}

fn merge(view: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (key, value) in changes {
        view[key] = value;
    }
}

pub(crate) fn list(items: &[Value]) -> Value {
    json!({"items": items, "revision": 9})
}
