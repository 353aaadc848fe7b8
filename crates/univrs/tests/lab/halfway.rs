//! Lines fail while something is half done: a rollout, a change of who votes, a join. It is done when they are mended,
//! once and wholly.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Lab, possible};

const CLOUDS: &str = "aws:us-east-1,azure:eastus,gcp:us-central1";

/// What a node answers, asked on its own machine; nothing when it does not.
fn seen_on(lab: &Lab, node: &str, path: &str) -> Value {
    let url = format!("http://127.0.0.1:8080{path}");
    let output = lab.on(node, "curl", &["-fsS", "-m", "10", &url]);
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// The instances of a workload that run and can be heard, as a node sees them.
fn running_on(lab: &Lab, node: &str, workload: &str) -> Vec<Value> {
    let seen = seen_on(lab, node, &format!("/api/workloads/{workload}/instances?limit=100"));
    let items = seen["items"].as_array().cloned().unwrap_or_default();
    items.into_iter().filter(|item| item["phase"] == "running" && item["reachable"] != false).collect()
}

fn leader(lab: &Lab, seen_by: &str) -> Option<String> {
    seen_on(lab, seen_by, "/api/cluster")["leader"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_rollout_goes_on_without_the_leader_that_began_it() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, CLOUDS, "simulated").await;
    let spec = |image: &str| {
        json!({"name": "web", "image": image, "replicas": 6, "placement": {"spread": ["cloud"]},
            "update": {"strategy": "rolling", "max_surge": 1, "max_unavailable": 0, "min_healthy": "2s", "deadline": "10m"}})
    };
    lab.make("/api/workloads", &spec("web:1")).await;
    lab.until(60, "all run", async || lab.running("web").await.len() == 6).await;
    let begun = leader(&lab, "n1").unwrap();
    let other = ["n1", "n2", "n3"].into_iter().find(|node| *node != begun).unwrap();
    let put = spec("web:2").to_string();
    let changed = lab.on(
        &begun,
        "curl",
        &[
            "-fsS",
            "-m",
            "30",
            "-X",
            "PUT",
            "-H",
            "content-type: application/json",
            "-d",
            &put,
            "http://127.0.0.1:8080/api/workloads/web",
        ],
    );
    assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
    let newer =
        |node: &str| running_on(&lab, node, "web").iter().filter(|item| item["image"] == "web:2").count();
    lab.until(60, "some are new", async || newer(other) > 0).await;
    lab.does(&["partition", &begun]);
    lab.until(60, "another leads", async || leader(&lab, other).is_some_and(|now| now != begun)).await;
    lab.until(120, "the rest makes all of them new", async || {
        let running = running_on(&lab, other, "web");
        running.len() == 6
            && running.iter().all(|item| item["image"] == "web:2" && item["node_name"] != begun.as_str())
    })
    .await;
    lab.does(&["heal"]);
    lab.until(60, "all nodes are ready again", async || lab.ready().await == 3).await;
    lab.until(120, "six run, all of them new", async || {
        let all = seen_on(&lab, &begun, "/api/workloads/web/instances?limit=100");
        let live = |item: &&Value| {
            ["assigned", "pulling", "starting", "running", "stopping"]
                .iter()
                .any(|phase| item["phase"] == *phase)
        };
        let all: Vec<Value> = all["items"].as_array().cloned().unwrap_or_default();
        let live: Vec<&Value> = all.iter().filter(live).collect();
        live.len() == 6 && live.iter().all(|item| item["image"] == "web:2" && item["phase"] == "running")
    })
    .await;
}

#[tokio::test]
async fn a_voter_is_removed_through_a_partition() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, CLOUDS, "simulated").await;
    let body = json!({"name": "web", "image": "web:1", "replicas": 0});
    lab.make("/api/workloads", &body).await;
    let voters = async || {
        let seen = seen_on(&lab, "n1", "/api/cluster");
        let mut names: Vec<String> = seen["voters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        names.sort();
        names
    };
    lab.until(60, "three vote", async || voters().await == ["n1", "n2", "n3"]).await;
    lab.does(&["kill", "--node", "n3"]);
    lab.until(60, "its lease has run out", async || {
        let nodes = seen_on(&lab, "n1", "/api/nodes/n3");
        nodes["state"] == "lost"
    })
    .await;
    lab.until(60, "it is removed", async || lab.univrs(&["-y", "node", "rm", "n3"]).status.success()).await;
    // The two that are left need each other to change who votes, until one of them votes alone: an even number of voters
    // bears no more than one less. The line fails before that or after it, and either must end well.
    lab.does(&["partition", "n1", "n2"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    lab.does(&["heal", "--node", "n1", "--node", "n2"]);
    lab.until(60, "one votes", async || matches!(&voters().await[..], [one] if one == "n1" || one == "n2"))
        .await;
    lab.until(60, "writes are taken", async || lab.write("web", 2).await).await;
    lab.until(60, "the other sees the same", async || {
        let names: Vec<String> = seen_on(&lab, "n2", "/api/nodes")["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|node| node["name"].as_str().map(str::to_owned))
            .collect();
        names == ["n1", "n2"]
    })
    .await;
}

/// A daemon beside those of the lab, gone when dropped.
struct Guest(Child);

impl Guest {
    fn join(lab: &Lab, dir: &Path, node: &str, host: &str, token: &str) -> Self {
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut command = lab.command_on(node, env!("CARGO_BIN_EXE_univrs"));
        command
            .args(["up", "--name", "guest", "--runtime", "simulated", "--role", "business,slim"])
            .args(["--api", "127.0.0.1:18080", "--node-listen", "0.0.0.0:19443", "--port", "0"])
            .args(["--ingress", "127.0.0.1:0", "--ingress-tls", "127.0.0.1:0", "--data-dir"])
            .arg(dir.join("data"))
            .args(["--join", host]);
        command.env("UNIVRS_JOIN_TOKEN", token).stdout(Stdio::null()).stderr(log);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_machine_that_is_cut_off_while_it_joins_joins_once() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, CLOUDS, "simulated").await;
    let dir = tempfile::tempdir().unwrap();
    let token = lab.univrs(&["join-token", "create", "--role", "business,slim"]);
    let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
    let host = lab.status()["nodes"][0]["address"].as_str().unwrap().to_owned();
    let guest = Guest::join(&lab, dir.path(), "n3", &host, &token);
    // The line fails in the middle of it, wherever that is: before it asked, before it heard the answer, before it has
    // the state.
    lab.until(60, "it is about to join", async || {
        std::fs::read_dir(dir.path().join("data")).is_ok_and(|mut files| files.next().is_some())
    })
    .await;
    lab.does(&["partition", "n3"]);
    lab.until(60, "the machine is cut off", async || seen_on(&lab, "n1", "/api/nodes/n3")["state"] == "lost")
        .await;
    lab.does(&["heal"]);
    lab.until(90, "four nodes are ready, the guest among them", async || {
        let nodes = lab.get("/api/nodes").await.unwrap_or_default();
        let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
        let guests = nodes.iter().filter(|node| node["name"] == "guest" && node["state"] == "ready").count();
        nodes.len() == 4 && guests == 1
    })
    .await;
    drop(guest);
}
