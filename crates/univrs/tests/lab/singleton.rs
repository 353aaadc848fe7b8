//! A singleton is cut off with its machine, wholly or in one direction: at no instant do two of it run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::archive::IMAGE;
use crate::harness::{Lab, possible};

/// How many processes were started with this argument.
pub(crate) fn processes(mark: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            let mut words = line.split(|byte| *byte == 0);
            words.any(|word| word == b"sleep") && words.any(|word| word == mark.as_bytes())
        })
        .count()
}

/// How a machine is parted from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Nothing goes either way.
    Off,
    /// It hears the others, and they do not hear it.
    Dumb,
    /// It is heard, and hears nobody.
    Deaf,
}

impl Cut {
    fn make(self, lab: &Lab, home: &str) {
        match self {
            Self::Off => lab.does(&["partition", home]),
            Self::Dumb => lab.does(&["partition", home, "--one-way"]),
            Self::Deaf => {
                for other in ["n1", "n2", "n3"].into_iter().filter(|other| *other != home) {
                    lab.does(&["partition", other, home, "--one-way"]);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_singleton_never_runs_twice_through_partitions_of_any_kind() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, "aws:us-east-1,azure:eastus,gcp:us-central1", "oci").await;
    lab.give_image();
    // Nobody else on this machine sleeps for so long.
    let mark = (8_000_000 + std::process::id()).to_string();
    let body = json!({"name": "one", "singleton": true, "containers": [{"name": "app", "image": IMAGE,
        "args": ["sleep", mark], "resources": {"cpu": "50m", "memory": "16Mi"}}],
        "on_disconnect": {"stop_after": "3s"}});
    lab.make("/api/workloads", &body).await;
    lab.until_running("one", 1).await;

    let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (stopped, seen, marked) = (Arc::clone(&stop), Arc::clone(&most), mark.clone());
    let watcher = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            seen.fetch_max(processes(&marked), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(15));
        }
    });
    for cut in [Cut::Off, Cut::Dumb, Cut::Deaf] {
        let home = lab.until_running("one", 1).await[0]["node_name"].as_str().unwrap().to_owned();
        cut.make(&lab, &home);
        // Who hears nothing may still be heard, and then it is not replaced; but it stops, for it cannot know that.
        lab.until(45, "it runs elsewhere, or nowhere", async || {
            let elsewhere =
                lab.running("one").await.iter().any(|instance| instance["node_name"] != home.as_str());
            elsewhere || (cut == Cut::Deaf && processes(&mark) == 0)
        })
        .await;
        lab.does(&["heal"]);
        lab.until(20, "the machine is back", async || lab.ready().await == 3).await;
        lab.until(60, "there is one", async || lab.running("one").await.len() == 1 && processes(&mark) == 1)
            .await;
        // Time to begin a second one, if anybody would.
        tokio::time::sleep(Duration::from_secs(2)).await;
        lab.until(60, "there is still one", async || processes(&mark) == 1).await;
    }
    stop.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 1, "two of a singleton ran at once");
}
