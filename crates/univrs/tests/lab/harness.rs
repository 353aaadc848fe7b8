//! A lab of its own for each test, which goes with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::archive;
use crate::patience::{self, PATIENCE};

/// A lab.
pub(crate) struct Lab {
    name: String,
    program: PathBuf,
    around: TempDir,
    pub(crate) api: String,
    http: reqwest::Client,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Whether labs can be raised here; says why not.
pub(crate) fn possible() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let tools = ["ip", "nft"].iter().all(|tool| Command::new(tool).arg("-V").output().is_ok());
    let busybox = Path::new(archive::BUSYBOX).exists();
    if !(root && tools && busybox) {
        eprintln!(
            "left out: a lab needs root (is it: {root}), `ip` and `nft` ({tools}), /bin/busybox ({busybox})"
        );
    }
    root && tools && busybox
}

impl Lab {
    /// Raises a lab and checks that it is what was asked for.
    pub(crate) async fn up(nodes: usize, clouds: &str, runtime: &str) -> Self {
        Self::up_of(PathBuf::from(env!("CARGO_BIN_EXE_univrs")), nodes, clouds, runtime, &[]).await
    }

    /// The same with further flags.
    pub(crate) async fn up_with(nodes: usize, clouds: &str, runtime: &str, flags: &[&str]) -> Self {
        Self::up_of(PathBuf::from(env!("CARGO_BIN_EXE_univrs")), nodes, clouds, runtime, flags).await
    }

    /// The same of another program.
    pub(crate) async fn up_of(
        program: PathBuf,
        nodes: usize,
        clouds: &str,
        runtime: &str,
        flags: &[&str],
    ) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}-{number}", std::process::id());
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let mut lab = Self { name, program, around: tempfile::tempdir().unwrap(), api: String::new(), http };
        let count = nodes.to_string();
        let mut arguments = vec!["up", "--nodes", &count, "--clouds", clouds, "--runtime", runtime];
        arguments.extend(flags);
        let up = lab.lab(&arguments);
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let status = lab.status();
        assert_eq!(status["nodes"].as_array().map(Vec::len), Some(nodes));
        lab.api = status["api"].as_str().unwrap().to_owned();
        lab.until(30, "all nodes are ready", async || lab.ready().await == nodes).await;
        lab
    }

    /// Runs `univrs lab` on it.
    pub(crate) fn lab(&self, arguments: &[&str]) -> Output {
        Command::new(&self.program)
            .arg("lab")
            .args(arguments)
            .env("UNIVRS_LAB", &self.name)
            .env("UNIVRS_LAB_DIR", self.around.path().join("lab"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The same where it must succeed.
    pub(crate) fn does(&self, arguments: &[&str]) {
        let output = self.lab(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.lab(&["status", "-o", "json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The network namespace of a node, or of the `router`.
    pub(crate) fn namespace(&self, node: &str) -> String {
        format!("univrs-{}-{node}", self.name)
    }

    /// A program in a node's namespace, not run yet.
    pub(crate) fn command_on(&self, node: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(node), program]).stdin(Stdio::null());
        command
    }

    /// The same with the mounts of the machine, as a daemon has them: `ip netns exec` hides its control groups.
    pub(crate) fn daemon_on(&self, node: &str, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace(node))).arg(program).stdin(Stdio::null());
        command
    }

    /// Runs a program in a node's namespace, or in the `router`'s.
    pub(crate) fn on(&self, node: &str, program: &str, arguments: &[&str]) -> Output {
        let namespace = self.namespace(node);
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &namespace, program])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The process of a node's daemon, and the words it was started with.
    pub(crate) fn daemon(&self, node: &str) -> Option<(i32, Vec<String>)> {
        let own = self.around.path().join("lab/nodes").join(node);
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut found = processes.filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = String::from_utf8(std::fs::read(entry.path().join("cmdline")).ok()?).ok()?;
            let words: Vec<String> = line.split_terminator('\0').map(str::to_owned).collect();
            let is_own = words.get(1).is_some_and(|word| word == "up")
                && words.iter().any(|word| Path::new(word).starts_with(&own));
            is_own.then_some((pid, words))
        });
        found.next()
    }

    /// What the daemon of a node has written.
    pub(crate) fn log(&self, node: &str) -> PathBuf {
        self.around.path().join("lab/nodes").join(node).join("log")
    }

    /// Runs the command line against the API of the lab.
    pub(crate) fn univrs(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_univrs"));
        command.args(["--server", &self.api]).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Gives every node the image of busybox.
    pub(crate) fn give_image(&self) {
        for node in self.status()["nodes"].as_array().unwrap() {
            self.give_image_to(node["name"].as_str().unwrap());
        }
    }

    /// Gives one node the image of busybox.
    pub(crate) fn give_image_to(&self, node: &str) {
        let path = self.around.path().join("image.tar");
        archive::write(&path);
        let arguments = ["--server", "http://127.0.0.1:8080", "image", "import", path.to_str().unwrap()];
        let begun = Instant::now();
        loop {
            let output = self.on(node, env!("CARGO_BIN_EXE_univrs"), &arguments);
            if output.status.success() {
                return;
            }
            // While nobody leads, which is told to the audit log first.
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("the store") && begun.elapsed() < PATIENCE, "{said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The body of a successful reply.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let reply = self.http.get(format!("{}{path}", self.api)).send().await.ok()?;
        reply.error_for_status().ok()?.json().await.ok()
    }

    /// Makes something with a name of its own, again until it is there: an answer may be lost or take too long.
    pub(crate) async fn make(&self, path: &str, body: &Value) {
        let taken = async || {
            let Ok(reply) = self.http.post(format!("{}{path}", self.api)).json(body).send().await else {
                return false;
            };
            let status = reply.status().as_u16();
            assert!(
                matches!(status, 200..=299 | 409) || status >= 500,
                "{path}: {status} {:?}",
                reply.text().await
            );
            status < 500
        };
        self.until(30, &format!("{} is made", body["name"]), taken).await;
    }

    /// The name of the node that leads.
    pub(crate) async fn leader(&self) -> String {
        let leader = async || self.get("/api/cluster").await?["leader"].as_str().map(str::to_owned);
        self.until_seen("somebody leads", leader, Option::is_some).await.unwrap()
    }

    /// Waits until as many instances of a workload run, and answers them.
    pub(crate) async fn until_running(&self, workload: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} of {workload} run");
        let look = async || self.running(workload).await;
        self.until_seen(&what, look, |running| running.len() == count).await
    }

    /// Looks until what is seen is such, and answers it.
    pub(crate) async fn until_seen<T: std::fmt::Debug>(
        &self,
        what: &str,
        look: impl AsyncFn() -> T,
        test: impl Fn(&T) -> bool,
    ) -> T {
        patience::until_seen(what, look, test, || format!("; {}", self.logs())).await
    }

    /// Changes a workload's labels, which is a write that needs a quorum; whether it was taken.
    pub(crate) async fn write(&self, workload: &str, mark: u32) -> bool {
        let body = serde_json::json!({"labels": {"mark": mark.to_string()}});
        let request = self.http.patch(format!("{}/api/workloads/{workload}", self.api)).json(&body);
        request.send().await.is_ok_and(|reply| reply.status().is_success())
    }

    /// The instances of a workload that run and can be heard.
    pub(crate) async fn running(&self, workload: &str) -> Vec<Value> {
        let body = self.get(&format!("/api/workloads/{workload}/instances?limit=100")).await;
        let items = body.and_then(|body| body["items"].as_array().cloned()).unwrap_or_default();
        items.into_iter().filter(|item| item["phase"] == "running" && item["reachable"] != false).collect()
    }

    /// How many nodes are ready.
    pub(crate) async fn ready(&self) -> usize {
        let nodes = self.get("/api/nodes").await;
        let items = nodes.and_then(|nodes| nodes["items"].as_array().cloned()).unwrap_or_default();
        items.iter().filter(|node| node["state"] == "ready").count()
    }

    /// Waits until `test` holds and says how long it took.
    ///
    /// `usual` is how many seconds that takes at most where nothing else runs. A busy machine is given more, so that is
    /// only told when it never happens.
    pub(crate) async fn until(&self, usual: u64, what: &str, test: impl AsyncFn() -> bool) -> Duration {
        let around = || format!(", which takes {usual} s at most on a quiet machine; {}", self.logs());
        patience::until(what, test, around).await
    }

    fn logs(&self) -> String {
        let nodes = std::fs::read_dir(self.around.path().join("lab/nodes")).into_iter().flatten().flatten();
        let tails = nodes.map(|node| {
            let text = std::fs::read_to_string(node.path().join("log")).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("\n--- {:?}\n{}", node.file_name(), lines[lines.len().saturating_sub(12)..].join("\n"))
        });
        tails.collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let down = self.lab(&["down"]);
        if std::thread::panicking() {
            return;
        }
        assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
        let namespaces = Command::new("ip").arg("netns").output().unwrap();
        let left = String::from_utf8_lossy(&namespaces.stdout).contains(&format!("univrs-{}-", self.name));
        assert!(!left && !self.around.path().join("lab").exists(), "something of the lab was left");
    }
}
