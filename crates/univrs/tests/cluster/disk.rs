//! The disk of the node that leads is full: writes are refused with the reason or another leads on; what runs goes on;
//! with room again it takes part again. Where the disk fails, the daemon ends with the reason.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::json;

use crate::harness::Cluster;
use crate::patience::PATIENCE;

/// A file system of its own, gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// A small one in memory. `None` when this takes rights that the test does not have.
    fn in_memory(place: PathBuf) -> Option<Self> {
        Self::mount(place, Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "univrs-test"]))
    }

    /// One in a file of this directory. `None` without loop devices, `mkfs.ext4` or rights.
    fn in_file(dir: &Path) -> Option<Self> {
        let image = dir.join("disk.img");
        std::fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
        let made = worked(Command::new("mkfs.ext4").arg("-q").arg(&image));
        made.then(|| Self::mount(dir.join("disk"), Command::new("mount").args(["-o", "loop"]).arg(&image)))?
    }

    fn mount(place: PathBuf, mount: &mut Command) -> Option<Self> {
        std::fs::create_dir_all(&place).unwrap();
        worked(mount.arg(&place)).then_some(Self(place))
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![b'x'; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }

    /// As when the disk below an ext4 is torn out: nothing can be written any more.
    fn fail(&self) {
        assert!(worked(Command::new("mount").args(["-o", "remount,abort"]).arg(&self.0)));
    }
}

fn worked(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_leader_without_room_lets_another_lead() {
    let dir = tempfile::tempdir().unwrap();
    let Some(small) = Disk::in_memory(dir.path().join("small")) else {
        drop(writeln!(std::io::stderr(), "left out: it takes root to mount a small file system"));
        return;
    };
    let data = small.0.join("data");
    let mut cluster = Cluster::found_in(&data, &[]).await;
    cluster.join("two", &[]).await;
    cluster.join("three", &[]).await;
    cluster
        .until("three nodes vote", async || {
            cluster.get(1, "/api/cluster").await["voters"].as_array().is_some_and(|voters| voters.len() == 3)
        })
        .await;
    assert_eq!(cluster.get(1, "/api/cluster").await["leader"], "one");
    let web = json!({"name": "web", "image": "web:1", "replicas": 3});
    assert_eq!(cluster.send(1, Method::POST, "/api/workloads", Some(web)).await.0, 201);
    cluster.until("web runs", async || cluster.running(1, "web").await.len() == 3).await;
    let mut before = cluster.running(1, "web").await;
    before.sort();

    small.fill();
    // Its log has some room set aside; then writes are refused with the reason, until another leads.
    let filled = async |number: usize| {
        let value = json!({"value": format!("{number:060000}")});
        cluster.send(1, Method::PUT, &format!("/api/secrets/more-{number}"), Some(value)).await
    };
    let begun = std::time::Instant::now();
    for number in 0.. {
        let (status, body) = filled(number).await;
        let told = matches!(status, 0 | 200 | 201 | 204)
            || body["code"] == "disk_full"
            || matches!(status, 503 | 504);
        assert!(told, "a write was refused for another reason: {status} {body}");
        let leader = cluster.get(1, "/api/cluster").await["leader"].clone();
        if leader.is_string() && leader != "one" {
            break;
        }
        assert!(
            begun.elapsed() < PATIENCE * 2,
            "nobody else leads; {number} writes, the last answer was {status} {body}"
        );
    }
    let label = async |value: &str| {
        let label = json!({"labels": {"at": value}});
        cluster.send(1, Method::PATCH, "/api/nodes/two", Some(label)).await.0 == 200
    };
    cluster.until("writes are taken while the disk is full", async || label("full").await).await;
    let mut during = cluster.running(1, "web").await;
    during.sort();
    assert_eq!(during, before, "what runs goes on where it is");

    small.free();
    cluster
        .until("the node has caught up and counts again", async || {
            let one = cluster.node_view(0, "two").await;
            one["labels"]["at"] == "full" || one["node"]["labels"]["at"] == "full"
        })
        .await;
    cluster.until("writes are taken", async || label("free").await).await;
}

#[tokio::test]
async fn a_daemon_whose_disk_fails_ends_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::in_file(dir.path()) else {
        drop(writeln!(std::io::stderr(), "left out: it takes root, loop devices and mkfs.ext4"));
        return;
    };
    let mut cluster = Cluster::found_in(&disk.0.join("data"), &[]).await;
    cluster.join("two", &[]).await;
    cluster.join("three", &[]).await;
    cluster
        .until("three nodes vote", async || {
            cluster.get(1, "/api/cluster").await["voters"].as_array().is_some_and(|voters| voters.len() == 3)
        })
        .await;
    disk.fail();
    let label = json!({"labels": {"at": "broken"}});
    cluster
        .until("the others take writes", async || {
            cluster.send(1, Method::PATCH, "/api/nodes/two", Some(label.clone())).await.0 == 200
        })
        .await;
    let begun = std::time::Instant::now();
    let well = loop {
        if let Some(well) = cluster.nodes[0].ended() {
            break well;
        }
        assert!(begun.elapsed() < PATIENCE, "the daemon does not end");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(!well, "its exit code tells");
    let log = cluster.nodes[0].log();
    assert!(log.contains("error: the daemon cannot go on without the replicated state: "), "{log}");
}
