//! A daemon of its own for each test, on a free port and a directory that goes with it.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::patience;
pub(crate) use crate::patience::PATIENCE;
pub(crate) use crate::ports::free_port;

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) dir: DataDir,
    pub(crate) port: u16,
    arguments: Vec<String>,
    environment: Environment,
    /// Where its API is.
    pub(crate) origin: String,
    http: reqwest::Client,
}

/// Where a daemon keeps everything: a directory that goes with it, or one that a test has made.
pub(crate) struct DataDir {
    path: PathBuf,
    /// Holds the log too, and what goes when it is dropped.
    around: TempDir,
}

impl DataDir {
    fn new(path: Option<PathBuf>) -> Self {
        let around = tempfile::tempdir().unwrap();
        Self { path: path.unwrap_or_else(|| around.path().join("data")), around }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Beside the data directory, so that what a test looks for there is not found in the log.
    fn log(&self) -> PathBuf {
        self.around.path().join("log")
    }
}

/// What a daemon runs containers on.
#[derive(Clone)]
pub(crate) struct How {
    pub(crate) runtime: &'static str,
    /// Where Docker listens.
    pub(crate) docker_host: String,
}

/// Variables that a daemon is started with.
type Environment = Vec<(&'static str, String)>;

/// What the API answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<String>,
    pub(crate) body: Value,
}

pub(crate) fn univrs() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_univrs"));
    command.stdin(Stdio::null());
    command
}

fn spawn(dir: &DataDir, port: u16, arguments: &[String], environment: &Environment) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(dir.log()).unwrap();
    univrs()
        .args(["up", "--name", "one", "--overcommit", "cpu=4"])
        .args(["--api", &format!("127.0.0.1:{port}"), "--ingress", "127.0.0.1:0"])
        .args(arguments)
        .arg("--data-dir")
        .arg(dir.path())
        .env("DOCKER_HOST", "")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Daemon {
    pub(crate) async fn start() -> Self {
        Self::start_with(&["--runtime", "simulated"]).await
    }

    /// With these flags beside those that every test needs.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        Self::start_at(DataDir::new(None), arguments, Environment::new()).await
    }

    /// With these variables.
    pub(crate) async fn start_under(environment: Environment, arguments: &[&str]) -> Self {
        Self::start_at(DataDir::new(None), arguments, environment).await
    }

    pub(crate) async fn start_on(how: How) -> Self {
        Self::start_under(vec![("DOCKER_HOST", how.docker_host)], &["--runtime", how.runtime]).await
    }

    /// The same in a directory that outlives it.
    pub(crate) async fn start_in(path: PathBuf, arguments: &[&str]) -> Self {
        Self::start_at(DataDir::new(Some(path)), arguments, Environment::new()).await
    }

    /// With an API that is encrypted; `http` trusts it.
    pub(crate) async fn start_encrypted(arguments: &[&str], http: reqwest::Client) -> Self {
        Self::begin(DataDir::new(None), arguments, Environment::new(), "https", http).await
    }

    async fn start_at(dir: DataDir, arguments: &[&str], environment: Environment) -> Self {
        Self::begin(dir, arguments, environment, "http", reqwest::Client::new()).await
    }

    async fn begin(
        dir: DataDir,
        arguments: &[&str],
        environment: Environment,
        scheme: &str,
        http: reqwest::Client,
    ) -> Self {
        let port = free_port();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = spawn(&dir, port, &arguments, &environment);
        let origin = format!("{scheme}://127.0.0.1:{port}");
        let daemon = Self { child, dir, port, arguments, environment, origin, http };
        daemon.until_ready().await;
        daemon
    }

    /// Waits until the API answers and the node has registered, so that there is something to give.
    async fn until_ready(&self) {
        let url = |path: &str| format!("{}{path}", self.origin);
        self.until("the daemon is ready", async || {
            self.http.get(url("/readyz")).send().await.is_ok_and(|reply| reply.status() == StatusCode::OK)
        })
        .await;
        // The API answers before the node has made itself known.
        self.until("the node is there", async || {
            self.get("/api/nodes").await.body["items"][0]["state"] == "ready"
        })
        .await;
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

    /// Waits until `test` holds.
    pub(crate) async fn until(&self, what: &str, test: impl AsyncFn() -> bool) {
        patience::until(what, test, String::new).await;
    }

    /// What the daemon has written to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.log()).unwrap()
    }

    /// Kills the daemon as `kill -9` does.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills the daemon as `kill -9` does and starts it again on the same directory.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.stop();
        self.child = spawn(&self.dir, self.port, &self.arguments, &self.environment);
        self.until_ready().await;
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    /// Sends a request; again while the store cannot be used, which a machine that stood still causes. The key makes
    /// of all attempts one.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut request = request.build().unwrap();
        if request.method() != Method::GET && !request.headers().contains_key("idempotency-key") {
            let key = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
            request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        }
        let begun = Instant::now();
        loop {
            let answer = self.attempt(request.try_clone().unwrap()).await;
            let again = answer.status == StatusCode::SERVICE_UNAVAILABLE && begun.elapsed() < PATIENCE;
            if !again {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn attempt(&self, request: reqwest::Request) -> Answer {
        let reply = self.http.execute(request).await.unwrap();
        let status = reply.status();
        let etag = reply.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned());
        let text = reply.text().await.unwrap();
        Answer { status, etag, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(self.request(Method::POST, path).body(body.to_owned())).await
    }

    /// Waits until a workload has this status.
    pub(crate) async fn until_status(&self, workload: &str, status: &str) {
        let path = format!("/api/workloads/{workload}");
        self.until(&format!("{workload} is {status}"), async || {
            self.get(&path).await.body["status"] == status
        })
        .await;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        let ended = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.log()).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(25).collect();
            eprintln!("--- end of the log of the daemon, {ended:?}");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        // Real containers outlive their daemon, but not their test.
        if !self.arguments.iter().any(|argument| argument == "simulated") {
            drop(univrs().args(["down", "--data-dir"]).arg(self.dir.path()).output());
            // Volumes of an engine outlive the node; those of a test that failed do not.
            crate::dockerd::unmount_below(self.dir.path());
        }
    }
}
