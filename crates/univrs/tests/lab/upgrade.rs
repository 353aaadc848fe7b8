//! Nodes change their program one after the other and back, and what runs on them notices nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::archive::IMAGE;
use crate::harness::{Lab, possible};

/// Asks again and again until its file is gone; notes each answer, and each that did not come.
const LOOP: &str = r#"while [ -e "$0" ]; do
    if curl -fs -m 60 -o /dev/null "$1"; then echo yes; else echo no; fi >> "$2"
    sleep 0.2
done"#;

/// Requests to one instance, from the machine that it runs on.
struct Loop {
    child: Child,
    go_on: PathBuf,
    answers: PathBuf,
}

impl Loop {
    fn start(lab: &Lab, dir: &Path, node: &str, address: &str) -> Self {
        let (go_on, answers) = (dir.join(format!("{node}.on")), dir.join(format!("{node}.answers")));
        std::fs::write(&go_on, "").unwrap();
        let url = format!("http://{address}:8000/busybox");
        let mut command = lab.command_on(node, "sh");
        command.args(["-c", LOOP]).arg(&go_on).arg(url).arg(&answers);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, go_on, answers }
    }

    /// How many requests were answered, and how many were not.
    fn counted(&self) -> (usize, usize) {
        let text = std::fs::read_to_string(&self.answers).unwrap_or_default();
        let count = |word: &str| text.lines().filter(|line| *line == word).count();
        (count("yes"), count("no"))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.go_on));
        drop(self.child.wait());
    }
}

/// The program as it was built, without what only debuggers need, saying that it is this version and level.
fn stamped(to: &Path, version: &str, level: u32) {
    let stamp = to.with_extension("stamp");
    let mut text = format!("univrs {version} level {level}").into_bytes();
    text.resize(64, 0);
    std::fs::write(&stamp, text).unwrap();
    let section = format!(".univrs.release={}", stamp.display());
    let mut command = Command::new("objcopy");
    command.args(["--strip-all", "--update-section", &section, env!("CARGO_BIN_EXE_univrs")]).arg(to);
    assert!(command.status().unwrap().success());
}

/// A program of that name that can be executed, and ends as soon as it is to be a node.
fn broken(to: &Path) {
    let source = to.with_extension("c");
    std::fs::write(
        &source,
        r#"#include <string.h>
        __attribute__((used, section(".univrs.release"))) static const char release[64] = "univrs 9.9.9 level 1";
        int main(int count, char **words) { return count > 1 && strcmp(words[1], "--version") == 0 ? 0 : 3; }"#,
    )
    .unwrap();
    assert!(Command::new("cc").arg("-o").arg(to).arg(&source).status().unwrap().success());
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The versions of the nodes, as `node ls` shows them.
async fn versions(lab: &Lab) -> Vec<String> {
    let nodes = lab.get("/api/nodes").await.unwrap_or_default();
    let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
    nodes.iter().map(|node| node["version"].as_str().unwrap().to_owned()).collect()
}

/// What must not change while programs do: which instances there are, and since when they run.
async fn standing(lab: &Lab) -> Vec<(String, String, u64)> {
    let mut all: Vec<_> = lab.running("web").await.iter().map(of_instance).collect();
    all.sort();
    all
}

fn of_instance(instance: &Value) -> (String, String, u64) {
    let text = |field: &str| instance[field].as_str().unwrap_or_default().to_owned();
    (text("id"), text("started_at"), instance["restarts"].as_u64().unwrap_or_default())
}

#[tokio::test]
async fn programs_change_node_by_node_while_workloads_answer() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    stamped(&file("now"), env!("CARGO_PKG_VERSION"), 1);
    stamped(&file("next"), "9.8.7-next", 1);
    for words in [&["--version"][..], &["version", "--client", "-o", "name"]] {
        let told = Command::new(file("next")).args(words).output().unwrap();
        assert!(String::from_utf8_lossy(&told.stdout).contains("9.8.7-next"), "{told:?}");
    }
    stamped(&file("old"), "0.0.1-old", 0);
    broken(&file("broken"));
    let lab = Lab::up_of(file("now"), 4, "aws:us-east-1,azure:eastus,gcp:us-central1", "oci", &[]).await;
    lab.give_image();
    let body = json!({"name": "web", "kind": "daemon", "containers": [{"name": "app", "image": IMAGE,
        "args": ["httpd", "-f", "-p", "8000", "-h", "/bin"], "resources": {"cpu": "50m", "memory": "16Mi"}}]});
    lab.make("/api/workloads", &body).await;
    lab.until(60, "it runs on all machines", async || lab.running("web").await.len() == 4).await;
    let voters = lab.get("/api/cluster").await.unwrap()["voters"].as_array().map(Vec::len);
    assert_eq!(voters, Some(3), "three decide and one works");
    let before = standing(&lab).await;
    let loops: Vec<Loop> = lab
        .running("web")
        .await
        .iter()
        .map(|instance| {
            let text = |field: &str| instance[field].as_str().unwrap();
            Loop::start(&lab, dir.path(), text("node_name"), text("address"))
        })
        .collect();
    lab.until(60, "all of them answer", async || loops.iter().all(|one| one.counted().0 > 0)).await;
    let upgrade = |to: &str, more: &[&str]| {
        let to = file(to);
        let words = ["--timeout", "30m", "cluster", "upgrade", "--deadline", "5m", "--to"];
        lab.univrs(&[&words[..], &[to.to_str().unwrap()], more].concat())
    };

    // Too old for the state, and planned only: nothing happens.
    let refused = upgrade("old", &[]);
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    assert!(
        said(&refused).contains("feature level 1 and version 0.0.1-old understands up to 0"),
        "{}",
        said(&refused)
    );
    let planned = upgrade("next", &["--plan"]);
    assert!(
        planned.status.success() && said(&planned).contains("change the program of n4"),
        "{}",
        said(&planned)
    );

    for (to, version) in [("next", "9.8.7-next"), ("now", env!("CARGO_PKG_VERSION"))] {
        let upgraded = upgrade(to, &[]);
        assert!(upgraded.status.success(), "{}", said(&upgraded));
        lab.until(60, "all nodes say so", async || versions(&lab).await == vec![version; 4]).await;
        lab.until(60, "what ran runs on", async || standing(&lab).await == before).await;
        lab.until(60, "writes are taken", async || lab.write("web", 1).await).await;
    }

    // It ends at its start: the first node goes back, no other is touched, and the command says so.
    let failed = upgrade("broken", &[]);
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    assert!(said(&failed).contains("n4 went back to what it ran before"), "{}", said(&failed));
    lab.until(60, "all nodes are ready", async || lab.ready().await == 4).await;
    lab.until(60, "they run what they ran", async || {
        versions(&lab).await == vec![env!("CARGO_PKG_VERSION"); 4]
    })
    .await;
    lab.until(60, "what ran runs on", async || standing(&lab).await == before).await;
    lab.until(60, "writes are taken", async || lab.write("web", 2).await).await;

    let counted: Vec<(usize, usize)> = loops.iter().map(Loop::counted).collect();
    assert!(counted.iter().all(|(_, failed)| *failed == 0), "requests failed: {counted:?}");
}
