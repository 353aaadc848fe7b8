//! A node whose containers are in a real Docker Engine, from the first call to `univrs down`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use univrs_image::{ExportFormat, FileEntry, ImageStore, Options};
use univrs_ports::images::ImageConfig;

use crate::dockerd::{self, Dockerd};
use crate::harness::{Daemon, How, univrs};

const BUSYBOX: &str = "/bin/busybox";

fn obstacle() -> Option<String> {
    let missing = || format!("{BUSYBOX} is not installed (apt-get install busybox-static)");
    dockerd::obstacle().or_else(|| (!Path::new(BUSYBOX).exists()).then(missing))
}

/// An archive of an image with a small web server.
async fn archive() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&dir.path().join("images"), Options::default()).unwrap();
    let files = vec![
        FileEntry::host("/bin/busybox", 0o755, BUSYBOX),
        FileEntry::bytes("/www/index.html", 0o644, "hello from a container\n"),
    ];
    let command = ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"];
    let config = ImageConfig { entrypoint: command.map(str::to_owned).into(), ..ImageConfig::default() };
    store.build("test/web:1", files, config).await.unwrap();
    let file = dir.path().join("web.tar");
    let out = tokio::fs::File::create(&file).await.unwrap();
    store.export("test/web:1", ExportFormat::DockerArchive, out).await.unwrap();
    std::fs::read(file).unwrap()
}

async fn instances(daemon: &Daemon) -> Vec<Value> {
    let mut items =
        daemon.get("/api/workloads/web/instances").await.body["items"].as_array().cloned().unwrap();
    items.sort_by_key(|item| item["id"].as_str().map(str::to_owned));
    items
}

/// The ids and start times, which a restart of the daemon does not change.
fn lives(instances: &[Value]) -> Vec<(Value, Value, Value)> {
    let life = |item: &Value| (item["id"].clone(), item["started_at"].clone(), item["restarts"].clone());
    instances.iter().map(life).collect()
}

/// Whether the server there answers, and as it should.
async fn answers(address: &str) -> bool {
    said(address).await.as_deref() == Some("hello from a container\n")
}

async fn said(address: &str) -> Option<String> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let reply = client.get(format!("http://{address}/")).send().await.ok()?;
    reply.text().await.ok()
}

/// Whether a command succeeded, and what it said.
fn tried(daemon: &Daemon, arguments: &[&str]) -> (bool, String) {
    let server = format!("http://127.0.0.1:{}", daemon.port);
    let output = univrs().args(["--server", &server]).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let success = output.status.success();
    (success, if success { text(&output.stdout) } else { text(&output.stderr) })
}

fn command(daemon: &Daemon, arguments: &[&str]) -> String {
    let (success, text) = tried(daemon, arguments);
    assert!(success, "{arguments:?}: {text}");
    text
}

#[tokio::test]
async fn a_node_runs_its_containers_in_docker_and_leaves_nothing_there() {
    if let Some(reason) = obstacle() {
        drop(writeln!(std::io::stderr(), "LEFT OUT: {reason}"));
        return;
    }
    let engine = tokio::task::spawn_blocking(Dockerd::start).await.unwrap();
    let host = format!("unix://{}", engine.socket().display());
    let mut daemon = Daemon::start_on(How { runtime: "docker", docker_host: host }).await;
    let node = std::fs::read_to_string(daemon.dir.path().join("node.json")).unwrap();
    let node: Value = serde_json::from_str(&node).unwrap();
    let node = node["node"].as_str().unwrap().to_owned();

    let import =
        daemon.request(Method::POST, "/api/images/import").header("content-type", "application/x-tar");
    let answer = daemon.send(import.body(archive().await)).await;
    assert!(answer.status.is_success(), "{}", answer.body);
    let body = r#"{"name":"web","image":"test/web:1","replicas":2}"#;
    assert_eq!(daemon.post("/api/workloads", body).await.status, StatusCode::CREATED);
    daemon.until_status("web", "running").await;
    let before = instances(&daemon).await;
    assert_eq!(before.len(), 2);
    let addresses: Vec<String> =
        before.iter().map(|item| item["address"].as_str().unwrap().to_owned()).collect();
    for address in &addresses {
        daemon.until("it answers", async || answers(address).await).await;
    }
    // By name from inside, by the name that the instance has, and with the exit code of the command.
    // Names are told to the resolver apart from what is reported.
    let wget = ["exec", "web", "--", BUSYBOX, "wget", "-q", "-O", "-", "http://web.internal/"];
    let found = async || tried(&daemon, &wget).1;
    daemon.until_seen("the name leads there", found, |text| text == "hello from a container\n").await;
    let name = command(&daemon, &["exec", "web", "--", BUSYBOX, "hostname"]);
    assert!(name.starts_with("web-"), "{name}");

    daemon.crash_and_restart().await;
    daemon.until_status("web", "running").await;
    assert_eq!(lives(&instances(&daemon).await), lives(&before));
    for address in &addresses {
        daemon.until("it answers as before", async || answers(address).await).await;
    }

    // With the engine all containers end, and their namespaces; the node puts everything back.
    let engine = tokio::task::spawn_blocking(move || {
        let mut engine = engine;
        engine.stop();
        engine.resume();
        engine
    });
    let engine = engine.await.unwrap();
    for address in &addresses {
        daemon.until("it answers again", async || answers(address).await).await;
    }
    // What is reported follows; a start that the coming engine refused counts as well.
    let restarted = |items: &Vec<Value>| items.iter().all(|item| item["restarts"].as_u64().unwrap() >= 1);
    let after = daemon.until_seen("it is reported", async || instances(&daemon).await, restarted).await;
    let ids = |instances: &[Value]| instances.iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&after), ids(&before), "the same instances, restarted");

    daemon.stop();
    // The environment need not say again where the containers are.
    let down = univrs().arg("down").arg("--data-dir").arg(daemon.dir.path()).output().unwrap();
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    for path in
        ["/v1.41/containers/json?all=1", "/v1.41/images/json?all=1", "/v1.41/networks", "/v1.41/volumes"]
    {
        let answer = engine.get(path).unwrap();
        assert!(answer.contains("200 OK") && !answer.contains(&node), "{path}: {answer}");
    }
    let short = &node["nd_".len()..][..8];
    let left = |text: String| text.lines().filter(|line| line.contains(short)).map(str::to_owned).collect();
    // The kernel ends what was in a network namespace some time after the namespace.
    let all = async || {
        let links: Vec<String> = left(std::fs::read_to_string("/proc/net/dev").unwrap());
        let mounts: Vec<String> = left(std::fs::read_to_string("/proc/self/mountinfo").unwrap());
        let rules = std::process::Command::new("nft").args(["list", "tables"]).output().unwrap();
        let tables: Vec<String> = left(String::from_utf8_lossy(&rules.stdout).into_owned());
        [links, mounts, tables].concat()
    };
    daemon.until_seen("nothing of the node is left", all, Vec::is_empty).await;
    assert!(!Path::new("/run/univrs").join(short).exists());
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_said_with_the_next_step() {
    if !nix::unistd::geteuid().is_root() {
        drop(writeln!(std::io::stderr(), "LEFT OUT: without root another reason comes first"));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let up = |host: &str| {
        let output = univrs()
            .args(["up", "--runtime", "docker", "--api", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path())
            .env("DOCKER_HOST", host)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = up("unix:///no/such/docker.sock");
    assert_eq!(code, Some(1));
    assert!(text.contains("/no/such/docker.sock") && text.contains("systemctl start docker"), "{text}");
    let (code, text) = up("tcp://10.0.0.1:2375");
    assert_eq!(code, Some(1));
    assert!(text.contains("tcp://10.0.0.1:2375") && text.contains("hint:"), "{text}");
}
