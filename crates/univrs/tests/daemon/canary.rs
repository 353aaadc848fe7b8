//! A known value goes into a real container and is looked for everywhere else.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::harness::{Daemon, univrs};
use crate::secrets::{holding, set};

const BUSYBOX: &str = "/bin/busybox";
const FIRST: &str = "canary-e4da3b7fbbce2345d777";
const SECOND: &str = "canary-1679091c5a880faf6fb5";

/// Why real containers cannot be run here, if so.
pub(crate) fn obstacle() -> Option<&'static str> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    });
    match (is_root, Path::new(BUSYBOX).exists()) {
        (false, _) => Some("it takes root to make containers"),
        (_, false) => Some("/bin/busybox is not installed"),
        (true, true) => None,
    }
}

/// A `docker save` archive of one layer: busybox as `/bin/sh`.
pub(crate) fn archive() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    layer.append_path_with_name(BUSYBOX, "bin/busybox").unwrap();
    for applet in ["sh", "sleep", "cat", "stat"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        layer.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    let layer = layer.into_inner().unwrap();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(&layer)))]},
    });
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": ["test/box:1"], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("manifest.json", manifest.to_string().into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        ("layer.tar", layer),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

pub(crate) fn exec(daemon: &Daemon, script: &str) -> String {
    let server = format!("http://127.0.0.1:{}", daemon.port);
    let output =
        univrs().args(["--server", &server, "exec", "box", "--", "/bin/sh", "-c", script]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where the node's sockets and memory are.
fn run_dir(daemon: &Daemon) -> PathBuf {
    let node: Value =
        serde_json::from_slice(&std::fs::read(daemon.dir.path().join("node.json")).unwrap()).unwrap();
    Path::new("/run/univrs").join(&node["node"].as_str().unwrap()[3..11])
}

/// Every place but the container's own that holds a canary.
fn traces(daemon: &Daemon) -> Vec<String> {
    let run = run_dir(daemon);
    let mut found = Vec::new();
    for canary in [FIRST, SECOND] {
        found.extend(holding(daemon.dir.path(), canary));
        for entry in std::fs::read_dir(&run).into_iter().flatten().filter_map(Result::ok) {
            if entry.path().is_dir() && entry.file_name() != "secrets" {
                found.extend(holding(&entry.path(), canary));
            }
        }
        if daemon.log().contains(canary) {
            found.push("the daemon's log".to_owned());
        }
    }
    found
}

async fn api_shows_nothing(daemon: &Daemon) {
    for path in [
        "/api/secrets",
        "/api/workloads/box",
        "/api/workloads/box/explain",
        "/api/workloads/box/instances",
        "/api/workloads/box/history",
        "/api/workloads/box/logs",
        "/api/events",
        "/api/audit",
        "/metrics",
    ] {
        let answer = daemon.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.body.to_string().contains("canary-"), "{path} shows it");
    }
}

#[tokio::test]
async fn a_canary_is_found_in_its_container_only() {
    if let Some(reason) = obstacle() {
        drop(writeln!(std::io::stderr(), "left out: {reason}"));
        return;
    }
    let mut daemon = Daemon::start_with(&["--runtime", "oci"]).await;
    let import = daemon
        .request(Method::POST, "/api/images/import")
        .header("content-type", "application/x-tar")
        .body(archive());
    assert_eq!(daemon.send(import).await.status, StatusCode::OK);
    set(&daemon, "db", FIRST).await;
    let body = r#"{"name":"box","containers":[{"name":"app","image":"test/box:1","user":"1234",
        "command":["/bin/sh","-c","trap 'echo renewed' HUP; while :; do sleep 0.1; done"]}],
        "secrets":[{"name":"db","env":"DB","file":"/run/secrets/db","on_change":"signal"}]}"#;
    assert_eq!(daemon.post("/api/workloads", body).await.status, StatusCode::CREATED);
    daemon.until_status("box", "running").await;

    let look = "echo $DB; cat /run/secrets/db; echo; stat -c '%a %u' /run/secrets/db";
    assert_eq!(exec(&daemon, look), format!("{FIRST}\n{FIRST}\n400 1234\n"));
    assert_eq!(traces(&daemon), Vec::<String>::new());
    api_shows_nothing(&daemon).await;

    daemon.crash_and_restart().await;
    set(&daemon, "db", SECOND).await;
    daemon
        .until("the container is told of the new value", async || {
            let logs = daemon.get("/api/workloads/box/logs").await.body.to_string();
            logs.contains("renewed") && exec(&daemon, "cat /run/secrets/db") == SECOND
        })
        .await;
    assert_eq!(exec(&daemon, "echo $DB").trim(), FIRST, "the environment of what runs stays");
    assert_eq!(traces(&daemon), Vec::<String>::new());
    api_shows_nothing(&daemon).await;

    let memory = run_dir(&daemon).join("secrets");
    let kept = || std::fs::read_dir(&memory).map(Iterator::count);
    assert_eq!(kept().unwrap(), 1);
    daemon.send(daemon.request(Method::DELETE, "/api/workloads/box")).await;
    daemon
        .until("nothing is left of it", async || {
            daemon.get("/api/workloads/box").await.status == StatusCode::NOT_FOUND && kept().unwrap() == 0
        })
        .await;
    daemon.stop();
    let down = univrs().args(["down", "--data-dir"]).arg(daemon.dir.path()).output().unwrap();
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert!(!memory.exists());
}
