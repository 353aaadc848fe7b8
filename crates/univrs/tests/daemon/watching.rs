//! A resource in a real container: its volume is full when it is full, what it used is measured, and nothing is left.

use std::io::Write as _;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::canary::{archive, exec, obstacle};
use crate::harness::Daemon;

const TEMPLATE: &str = r#"
id = "box"
name = "Box"
kind = "STORAGE"
version = 1
description = "A shell that waits."
parameters.storage = { type = "bytes", default = "64Mi", scalable = true, description = "Size of the volume." }
images.box = { official = "test/box:1" }

[[workloads]]
name = "{{name}}"
volumes = [{ name = "data", size = "{{storage}}" }]
[[workloads.containers]]
name = "box"
image = "{{image.box}}"
command = ["/bin/sh", "-c", "while :; do sleep 1; done"]
limits = { cpu = "1", memory = "128Mi" }
mounts = [{ volume = "data", path = "/data" }]
"#;

/// Mounts and loop devices that lie below a directory.
fn left(dir: &Path) -> Vec<String> {
    let dir = dir.to_string_lossy().into_owned();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
    let files =
        devices.filter_map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")).ok());
    let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned);
    mounts.chain(files).filter(|place| place.contains(&*dir) && place.contains("/volumes/")).collect()
}

async fn put(daemon: &Daemon, path: &str, body: Value) -> crate::harness::Answer {
    daemon.send(daemon.request(Method::PUT, path).body(body.to_string())).await
}

#[tokio::test]
async fn a_resource_is_bounded_measured_and_gone() {
    if let Some(reason) = obstacle() {
        drop(writeln!(std::io::stderr(), "left out: {reason}"));
        return;
    }
    if !Path::new("/dev/loop-control").exists() || !Path::new("/usr/sbin/mkfs.ext4").exists() {
        drop(writeln!(
            std::io::stderr(),
            "left out: without loop devices or mkfs.ext4 sizes are not enforced"
        ));
        return;
    }
    let templates = tempfile::tempdir().unwrap();
    std::fs::write(templates.path().join("box.toml"), TEMPLATE).unwrap();
    let folder = templates.path().to_str().unwrap();
    let mut daemon = Daemon::start_with(&["--runtime", "oci", "--template-dir", folder]).await;
    let import = daemon
        .request(Method::POST, "/api/images/import")
        .header("content-type", "application/x-tar")
        .body(archive());
    assert_eq!(daemon.send(import).await.status, StatusCode::OK);
    assert_eq!(put(&daemon, "/api/orgs/default", json!({"tier": "pro"})).await.status, StatusCode::OK);

    // 1 core and 128 MiB and 64 MiB of tier pro, for 730 hours: 8.6724 + 0.37002 + 0.00504576.
    let spec = json!({"name": "box", "template": "box", "provider": "mesh"}).to_string();
    let plan = daemon.post("/api/resources?dry_run=true", &spec).await;
    assert_eq!(plan.body["price"]["monthly"], "9.05", "{}", plan.body);
    assert_eq!(plan.body["price"]["lines"][0]["unit_price"], "0.01188", "{}", plan.body);
    assert_eq!(daemon.post("/api/resources", &spec).await.status, StatusCode::ACCEPTED);
    let active = async |daemon: &Daemon| {
        daemon
            .until("it is active", async || daemon.get("/api/resources/box").await.body["status"] == "ACTIVE")
            .await;
    };
    active(&daemon).await;
    daemon
        .until("its size is enforced", async || {
            daemon.get("/api/volumes").await.body["items"][0]["size_enforced"] == true
        })
        .await;

    assert_eq!(exec(&daemon, "cat /dev/zero > /data/fill; echo $?").trim(), "1");
    let size: u64 = exec(&daemon, "stat -c %s /data/fill").trim().parse().unwrap();
    assert!((32 << 20..64 << 20).contains(&size), "{size}");
    daemon.crash_and_restart().await;
    active(&daemon).await;
    // Known to be active is not yet taken up again by its node.
    let look = async || exec(&daemon, "stat -c %s /data/fill").trim().to_owned();
    daemon.until_seen("what was written is there", look, |text| *text == size.to_string()).await;
    let meters = async || {
        let statement = daemon.get("/api/usage").await.body;
        let lines = statement["lines"].as_array().unwrap().clone();
        lines.into_iter().map(|line| (line["meter"].as_str().unwrap().to_owned(), line)).collect::<Vec<_>>()
    };
    // What it used is known from two looks of one process, and that it looked is seen by the alert.
    // How it ends is for tests that set the clock: it takes minutes.
    let full = async || {
        let alerts = daemon.get("/api/alerts").await.body;
        let mut alerts = alerts["items"].as_array().unwrap().iter();
        alerts.any(|alert| alert["rule"] == "storage_full" && alert["state"] == "firing")
    };
    daemon.until("its volume is said to be full", full).await;

    let answer = daemon.send(daemon.request(Method::DELETE, "/api/resources/box")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    daemon
        .until("it is gone", async || daemon.get("/api/resources/box").await.status == StatusCode::NOT_FOUND)
        .await;
    daemon.until("nothing of its volume is left", async || left(daemon.dir.path()).is_empty()).await;
    daemon
        .until("what it had and used stays in the statement", async || {
            let meters = meters().await;
            ["cpu_limit", "memory_limit", "memory_used", "storage_used"]
                .iter()
                .all(|wanted| meters.iter().any(|(meter, _)| meter == wanted))
        })
        .await;
    for (meter, line) in meters().await {
        assert_eq!(line["tier"], json!("pro"), "{meter}");
        // What a node tells after the resource is gone has the resource's id for a name.
        if meter.ends_with("_limit") {
            assert_eq!(line["name"], json!("box"), "{meter}");
        }
    }
    let events = daemon.get("/api/usage/events").await.body;
    assert_eq!(events["items"][0]["specversion"], "1.0", "{events}");

    // Alerts know where to go, and where not to.
    let hook = |url: &str| json!({"channels": [{"kind": "webhook", "name": "hook", "url": url}]});
    let refused = put(&daemon, "/api/alerts/settings", hook("http://169.254.169.254/")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.body["field"].as_str()),
        (422, Some("channels[0].url")),
        "{}",
        refused.body
    );
    let taken = put(&daemon, "/api/alerts/settings", hook("https://example.org/hook")).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);
    assert_eq!(daemon.get("/api/alerts").await.status, StatusCode::OK);
}
