//! Daemons with ports and directories of their own, and what tests ask of them.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use crate::logs::telling;
use crate::patience;
pub(crate) use crate::patience::PATIENCE;
use crate::ports::free_port;

/// A cluster in the making.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    around: TempDir,
    http: reqwest::Client,
}

/// One daemon.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) api: u16,
    pub(crate) port: u16,
    child: Option<Child>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    dir: PathBuf,
    log: PathBuf,
}

/// What a WebSocket says.
#[derive(Debug)]
pub(crate) struct Feed(WebSocket);

type WebSocket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

impl Feed {
    /// The next message as JSON.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap();
            if let Message::Text(text) = next {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Skips messages until one of them is such.
    pub(crate) async fn until(&mut self, mut test: impl FnMut(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let next = self.next().await;
            if test(&next) {
                return next;
            }
            assert!(begun.elapsed() < PATIENCE, "waited too long; the last message was {next}");
        }
    }
}

pub(crate) fn univrs() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_univrs"));
    command.stdin(Stdio::null());
    command
}

impl Node {
    fn command(&self) -> Command {
        let mut command = univrs();
        command
            .args(["up", "--name", &self.name, "--runtime", "simulated", "--overcommit", "cpu=4"])
            .args(["--api", &format!("127.0.0.1:{}", self.api)])
            .args(["--ingress", "127.0.0.1:0", "--ingress-tls", "127.0.0.1:0"])
            .args(["--node-listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data-dir")
            .arg(&self.dir)
            .args(&self.flags)
            .envs(self.environment.iter().cloned());
        if !self.flags.iter().any(|flag| flag == "--port") {
            command.args(["--port", "0"]);
        }
        command
    }

    pub(crate) fn start(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        self.child = Some(self.command().stderr(log).spawn().unwrap());
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Told to stop, as by the service manager; waits until it has.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let mut child = self.child.take().unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Whether it has ended by itself, and whether well.
    pub(crate) fn ended(&mut self) -> Option<bool> {
        let ended = self.child.as_mut()?.try_wait().unwrap();
        ended.map(|status| status.success())
    }

    /// It gets no processor time until it is resumed.
    pub(crate) fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap().id();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    /// Its data directory.
    pub(crate) fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// Starts with these flags from now on.
    pub(crate) fn with_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Starts in this environment from now on.
    pub(crate) fn in_environment(&mut self, environment: &[(String, String)]) {
        self.environment = environment.to_vec();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                drop(child.kill());
                drop(child.wait());
            }
            if std::thread::panicking() {
                eprintln!("--- end of the log of {}\n{}", node.name, telling(&node.log()));
            }
        }
    }
}

impl Cluster {
    /// One node that founded it.
    pub(crate) async fn found(flags: &[&str]) -> Self {
        let mut cluster =
            Self { nodes: Vec::new(), around: tempfile::tempdir().unwrap(), http: reqwest::Client::new() };
        cluster.add("one", flags);
        cluster.until_ready(0).await;
        cluster
    }

    /// The same in this directory.
    pub(crate) async fn found_in(dir: &Path, flags: &[&str]) -> Self {
        let mut cluster =
            Self { nodes: Vec::new(), around: tempfile::tempdir().unwrap(), http: reqwest::Client::new() };
        cluster.add_in(dir.to_owned(), "one", flags);
        cluster.until_ready(0).await;
        cluster
    }

    /// Starts another daemon with these flags.
    pub(crate) fn add(&mut self, name: &str, flags: &[&str]) -> usize {
        self.add_in(self.place(name), name, flags)
    }

    fn add_in(&mut self, dir: PathBuf, name: &str, flags: &[&str]) -> usize {
        let mut node = Node {
            name: name.to_owned(),
            api: free_port(),
            port: free_port(),
            child: None,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            environment: Vec::new(),
            dir,
            log: self.around.path().join(format!("{name}.log")),
        };
        node.start();
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Where the node of this name keeps its things.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.around.path().join(name)
    }

    /// Where the first node is joined.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.nodes[0].port)
    }

    /// A join token from the command line, as scripts get it.
    pub(crate) fn token(&self, flags: &[&str]) -> String {
        String::from_utf8(self.cli_done(&[&["join-token", "create"], flags].concat()))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Lets another node in with a token of its own, and waits until it is ready.
    pub(crate) async fn join(&mut self, name: &str, flags: &[&str]) -> usize {
        let token = self.token(&[]);
        let host = self.host();
        let index = self.add(name, &[&["--join", &host, "--join-token", &token], flags].concat());
        self.until_ready(index).await;
        index
    }

    /// What a machine says that is not let in.
    pub(crate) fn refused(&self, flags: &[&str]) -> String {
        self.refused_in(&[], flags)
    }

    /// The same for one in an environment of its own.
    pub(crate) fn refused_in(&self, environment: &[(String, String)], flags: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let asked = univrs()
            .args(["up", "--runtime", "simulated", "--api", "127.0.0.1:0", "--ingress", "127.0.0.1:0"])
            .args(["--ingress-tls", "127.0.0.1:0", "--node-listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path())
            .args(["--join", &self.host()])
            .args(flags)
            .envs(environment.iter().cloned())
            .output()
            .unwrap();
        assert_eq!(asked.status.code(), Some(1), "{}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8_lossy(&asked.stderr).into_owned()
    }

    /// The command line against a node's API.
    pub(crate) fn cli(&self, node: usize, arguments: &[&str]) -> Output {
        let server = format!("http://127.0.0.1:{}", self.nodes[node].api);
        univrs().args(["--server", &server, "-y"]).args(arguments).output().unwrap()
    }

    /// What a command says that the first node does; again while nobody leads.
    pub(crate) fn cli_done(&self, arguments: &[&str]) -> Vec<u8> {
        let begun = Instant::now();
        loop {
            let done = self.cli(0, arguments);
            if done.status.success() {
                return done.stdout;
            }
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(said.contains("the store") && begun.elapsed() < PATIENCE, "{arguments:?}: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) async fn until_ready(&self, node: usize) {
        let url = format!("http://127.0.0.1:{}/readyz", self.nodes[node].api);
        self.until(&format!("{} is ready", self.nodes[node].name), async || {
            let asked = self.http.get(&url).timeout(Duration::from_secs(15)).send().await;
            asked.is_ok_and(|reply| reply.status().is_success())
        })
        .await;
    }

    /// A WebSocket of a node, subscribed.
    pub(crate) async fn feed(&self, node: usize, path: &str, subscription: &Value) -> Feed {
        let url = format!("ws://127.0.0.1:{}{path}", self.nodes[node].api);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        socket.send(Message::text(subscription.to_string())).await.unwrap();
        Feed(socket)
    }

    /// Looks until what is seen is such, and answers it.
    pub(crate) async fn until_seen<T: std::fmt::Debug>(
        &self,
        what: &str,
        look: impl AsyncFn() -> T,
        test: impl Fn(&T) -> bool,
    ) -> T {
        patience::until_seen(what, look, test, String::new).await
    }

    /// Waits until all of these vote, and one of them leads as all see it; answers which.
    pub(crate) async fn until_all_vote(&self, nodes: &[usize]) -> usize {
        let leader = async || {
            let mut leaders = Vec::new();
            for node in nodes {
                let known = self.get(*node, "/api/cluster").await;
                let all = known["voters"].as_array().is_some_and(|voters| voters.len() == nodes.len());
                leaders.push(known["leader"].as_str().filter(|_| all).map(str::to_owned));
            }
            leaders.dedup();
            let agreed = if leaders.len() == 1 { leaders.remove(0) } else { None };
            agreed.and_then(|name| self.nodes.iter().position(|node| node.name == name))
        };
        self.until_seen("all vote and agree who leads", leader, Option::is_some).await.unwrap()
    }

    /// Waits until as many instances of a workload run, and answers them.
    pub(crate) async fn until_running(
        &self,
        seen_by: usize,
        workload: &str,
        count: usize,
    ) -> Vec<(String, String)> {
        let what = format!("{count} of {workload} run");
        let look = async || self.running(seen_by, workload).await;
        self.until_seen(&what, look, |running| running.len() == count).await
    }

    /// Waits until `test` holds.
    pub(crate) async fn until(&self, what: &str, test: impl AsyncFn() -> bool) -> Duration {
        patience::until(what, test, String::new).await
    }

    /// Sends a request; the status, and the body as JSON. Status zero when nobody answers.
    pub(crate) async fn send(
        &self,
        node: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        self.answered(self.request(node, method, path), body).await
    }

    /// Sends a change until it is taken in: on a busy machine nobody may lead for a while.
    pub(crate) async fn taken(&self, node: usize, method: Method, path: &str, body: &Value) {
        let asked = async || self.send(node, method.clone(), path, Some(body.clone())).await;
        // The answer to an earlier attempt may have been lost.
        let mut lost = false;
        let begun = Instant::now();
        loop {
            match asked().await {
                (200..=202, _) => return,
                (409, _) if lost => return,
                (0 | 503, said) => {
                    lost = true;
                    assert!(begun.elapsed() < PATIENCE, "{method} {path} is not taken in: {said}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                (status, said) => panic!("{method} {path}: {status} {said}"),
            }
        }
    }

    /// As the holder of a token.
    pub(crate) async fn send_with(
        &self,
        node: usize,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        self.answered(self.request(node, method, path).bearer_auth(token), body).await
    }

    fn request(&self, node: usize, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://127.0.0.1:{}{path}", self.nodes[node].api);
        self.http.request(method, url).timeout(Duration::from_secs(60))
    }

    async fn answered(&self, mut request: reqwest::RequestBuilder, body: Option<Value>) -> (u16, Value) {
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let Ok(reply) = request.send().await else { return (0, Value::Null) };
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn get(&self, node: usize, path: &str) -> Value {
        self.send(node, Method::GET, path, None).await.1
    }

    /// What a tool of AI operators answers at a node.
    pub(crate) async fn tool(&self, node: usize, tool: &str, arguments: Value) -> Value {
        let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}});
        let request = self
            .request(node, Method::POST, "/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        let (_, answer) = self.answered(request, Some(call)).await;
        answer["result"]["structuredContent"].clone()
    }

    /// The nodes by name, as one of them sees them.
    pub(crate) async fn node_view(&self, seen_by: usize, name: &str) -> Value {
        self.get(seen_by, &format!("/api/nodes/{name}")).await
    }

    /// Instances of a workload that run and can be heard, with the names of their nodes, as one of the nodes sees them.
    pub(crate) async fn running(&self, seen_by: usize, workload: &str) -> Vec<(String, String)> {
        let answer = self.get(seen_by, &format!("/api/workloads/{workload}/instances")).await;
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        let running = items.iter().filter(|item| item["phase"] == "running" && item["reachable"] == true);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        running.map(|item| (text(&item["id"]), text(&item["node_name"]))).collect()
    }
}
