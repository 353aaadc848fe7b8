//! Nodes behind routers that hide them: their peers and their containers reach each other by a hole that both make, or
//! by way of a node that both reach; and they are reached from everywhere.

use serde_json::{Value, json};

use crate::archive::IMAGE;
use crate::harness::{Lab, possible};

const CLOUDS: &str = "aws:us-east-1,azure:eastus,gcp:us-central1";

/// What one node says of another in `/api/peers`.
fn peer(lab: &Lab, on: &str, of: &str) -> Value {
    let reply = lab.on(on, "curl", &["-fsS", "-m", "3", "http://127.0.0.1:8080/api/peers"]);
    let body: Value = serde_json::from_slice(&reply.stdout).unwrap_or_default();
    let items = body["items"].as_array().cloned().unwrap_or_default();
    items.into_iter().find(|item| item["name"] == of).unwrap_or_default()
}

/// Two hidden nodes and one that is not: how the two are connected, and that a container of one reaches one of the other.
async fn hidden(nat: &str, path: &str) {
    let lab = Lab::up_with(3, CLOUDS, "oci", &["--nat", nat]).await;
    // The others fetch it from there: nodes that only run workloads take in no images by themselves.
    lab.give_image_to("n1");
    let web = json!({"name": "web", "containers": [{"name": "app", "image": IMAGE,
        "args": ["httpd", "-f", "-p", "8000", "-h", "/bin"], "ports": [{"name": "http", "container_port": 8000}],
        "resources": {"cpu": "50m", "memory": "16Mi"}}], "placement": {"constraints": ["cloud == gcp"]}});
    let client = json!({"name": "client", "containers": [{"name": "app", "image": IMAGE, "args": ["sleep", "3600"],
        "resources": {"cpu": "50m", "memory": "16Mi"}}], "placement": {"constraints": ["cloud == azure"]}});
    lab.make("/api/workloads", &web).await;
    lab.make("/api/workloads", &client).await;
    let runs = async |name: &str| lab.running(name).await.len() == 1;
    lab.until(90, "both run", async || runs("web").await && runs("client").await).await;
    for (on, of) in [("n2", "n3"), ("n3", "n2")] {
        // libp2p tries three times to make a hole and then stays with the relay, which a busy machine may use up.
        lab.until(120, &format!("{on}'s peer knows {of}'s to be {path}"), async || {
            let told = peer(&lab, on, of)["path"].clone();
            told == path || told == "relayed"
        })
        .await;
        lab.until(120, &format!("packets of {on} to {of} are {path}"), async || {
            peer(&lab, on, of)["overlay"]["path"] == path
        })
        .await;
        lab.until(60, "the one in the open is reached straight", async || {
            peer(&lab, on, "n1")["path"] == "direct"
        })
        .await;
    }
    // The client's node cannot be dialled: it is reached through the encrypted network.
    let url = "http://web.internal:8000/busybox";
    let get = ["timeout", "5", "/bin/busybox", "wget", "-q", "-O", "/dev/null", url];
    lab.until(60, "a container reaches one behind another router", async || {
        lab.univrs(&[&["exec", "client", "--", "/bin/busybox"], &get[..]].concat()).status.success()
    })
    .await;
    let doctor = ["--server", "http://127.0.0.1:8080", "mesh", "doctor"];
    let word = if path == "relayed" { "relayed by n1" } else { path };
    lab.until(120, "the doctor says so", async || {
        let said = lab.on("n2", env!("CARGO_BIN_EXE_univrs"), &doctor);
        String::from_utf8_lossy(&said.stdout).contains(word)
    })
    .await;
}

#[tokio::test]
async fn nodes_behind_routers_make_holes_in_them() {
    if possible() {
        hidden("n2,n3", "punched").await;
    }
}

#[tokio::test]
async fn nodes_behind_routers_without_holes_are_carried() {
    if possible() {
        hidden("n2:symmetric,n3:symmetric", "relayed").await;
    }
}
