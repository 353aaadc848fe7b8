//! A node without a copy of the state is cut off, and its daemon is killed and started again: what may not run alone ends
//! in time all the same, and nowhere do two of it run.

use std::fs::OpenOptions;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::archive::IMAGE;
use crate::harness::{Lab, possible};
use crate::singleton::processes;

/// What the daemon says when it ends something without having heard anybody.
const SAID: &str = "stopping what may not run on a node that is cut off";

/// A daemon that a service manager starts again, here this test.
struct Restarted(Child);

impl Restarted {
    fn start(lab: &Lab, node: &str, words: &[String]) -> Self {
        let log = OpenOptions::new().append(true).open(lab.log(node)).unwrap();
        let mut command = lab.daemon_on(node, env!("CARGO_BIN_EXE_univrs"));
        Self(command.args(&words[1..]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Restarted {
    /// As `kill -9` does.
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_singleton_ends_on_a_slim_node_whose_daemon_is_started_again_while_cut_off() {
    if !possible() {
        return;
    }
    // Who is hidden holds no copy of the state.
    let lab = Lab::up_with(2, "aws:us-east-1,azure:eastus", "oci", &["--nat", "n2"]).await;
    lab.give_image_to("n1");
    let mark = (9_000_000 + std::process::id()).to_string();
    let body = json!({"name": "one", "singleton": true, "containers": [{"name": "app", "image": IMAGE,
        "args": ["sleep", mark], "resources": {"cpu": "50m", "memory": "16Mi"}}],
        "on_disconnect": {"stop_after": "5s"}});
    let taken = async |arguments: &[&str]| lab.univrs(arguments).status.success();
    lab.until(20, "nothing new goes to n1", async || taken(&["-y", "node", "cordon", "n1"]).await).await;
    lab.make("/api/workloads", &body).await;
    let home = lab.until_running("one", 1).await[0]["node_name"].clone();
    assert_eq!(home, "n2");
    lab.until(20, "n1 may take it over", async || taken(&["-y", "node", "uncordon", "n1"]).await).await;

    let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (stopped, seen, marked) = (Arc::clone(&stop), Arc::clone(&most), mark.clone());
    let watcher = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            seen.fetch_max(processes(&marked), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(15));
        }
    });
    let (pid, words) = lab.daemon("n2").unwrap();
    lab.does(&["partition", "n2"]);
    // Before it has noticed, and once more before anything is due.
    tokio::time::sleep(Duration::from_millis(500)).await;
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let first = Restarted::start(&lab, "n2", &words);
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(first);
    let second = Restarted::start(&lab, "n2", &words);
    lab.until(30, "the daemon that hears nobody ends it", async || {
        std::fs::read_to_string(lab.log("n2")).is_ok_and(|log| log.contains(SAID))
    })
    .await;
    lab.until(45, "it runs elsewhere", async || {
        lab.running("one").await.iter().any(|instance| instance["node_name"] == "n1")
    })
    .await;
    drop(second);
    lab.does(&["heal"]);
    lab.until(30, "the machine is back", async || lab.ready().await == 2).await;
    lab.until(60, "there is one", async || lab.running("one").await.len() == 1 && processes(&mark) == 1)
        .await;
    stop.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 1, "two of a singleton ran at once");
}
