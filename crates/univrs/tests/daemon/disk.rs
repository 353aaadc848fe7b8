//! A full disk: writes are refused, what runs goes on, and all is well again once there is room.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use reqwest::{Method, StatusCode};

use crate::harness::Daemon;

/// A small file system in memory, gone when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "univrs-test"])
            .arg(dir.path())
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(dir))
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.path().join("filler")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![b'x'; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.path().join("filler")).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_harms_nothing() {
    let Some(small) = Small::new() else {
        drop(writeln!(std::io::stderr(), "left out: it takes root to mount a small file system"));
        return;
    };
    let mut daemon = Daemon::start_in(small.path().join("data"), &["--runtime", "simulated"]).await;
    daemon.post("/api/workloads", r#"{"name":"web","image":"web:1","replicas":2}"#).await;
    daemon.until_status("web", "running").await;
    let before = daemon.get("/api/workloads/web/instances").await.body;

    small.fill();
    let create = |name: &str, replicas: u32| {
        let body = format!(r#"{{"name":"{name}","image":"web:1","replicas":{replicas}}}"#);
        daemon.request(Method::POST, "/api/workloads").body(body)
    };
    // What the log has set aside may take a few more.
    let mut refusal = None;
    for number in 0..20_000 {
        let answer = daemon.send(create(&format!("more-{number}"), 0)).await;
        if !matches!(answer.status, StatusCode::CREATED | StatusCode::CONFLICT) {
            refusal = Some(answer);
            break;
        }
    }
    let refusal = refusal.expect("a full disk refuses");
    assert_eq!(
        (refusal.status.as_u16(), refusal.body["code"].as_str()),
        (507, Some("disk_full")),
        "{}",
        refusal.body
    );
    assert!(refusal.body["hint"].as_str().unwrap().contains("free space"), "{}", refusal.body);
    let during = daemon.get("/api/workloads/web/instances").await.body;
    for (was, is) in before["items"].as_array().unwrap().iter().zip(during["items"].as_array().unwrap()) {
        assert_eq!(
            (&was["id"], &was["started_at"], "running"),
            (&is["id"], &is["started_at"], is["phase"].as_str().unwrap())
        );
    }

    small.free();
    daemon
        .until("writes are taken again", async || {
            // One that was not confirmed may have been taken all the same.
            matches!(daemon.send(create("after", 1)).await.status, StatusCode::CREATED | StatusCode::CONFLICT)
        })
        .await;
    daemon.until_status("after", "running").await;
    daemon.crash_and_restart().await;
    daemon.until_status("after", "running").await;
    daemon.until_status("web", "running").await;
}
