//! Machines that know only the address of a peer, and the views that nodes have of each other.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

use crate::harness::Cluster;

/// A port that is free for both UDP and TCP, below those that the kernel gives to whoever asks for any.
fn peer_port() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + u16::try_from(std::process::id() % 1000).unwrap() * 12;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 12_000;
        let at = ("127.0.0.1", port);
        if UdpSocket::bind(at).is_ok() && TcpListener::bind(at).is_ok() {
            return port.to_string();
        }
    }
}

async fn peers(cluster: &Cluster, node: usize) -> Vec<Value> {
    cluster.get(node, "/api/peers").await["items"].as_array().cloned().unwrap_or_default()
}

/// The others as a node sees them: how many are heard of, and how many connected.
async fn seen(cluster: &Cluster, node: usize) -> (usize, usize) {
    let peers = peers(cluster, node).await;
    let count = |test: &dyn Fn(&Value) -> bool| peers.iter().filter(|peer| test(peer)).count();
    (count(&|peer| peer["standing"] == "live"), count(&|peer| peer["connected"] == true))
}

#[tokio::test]
async fn a_machine_joins_by_the_address_of_a_peer_and_all_see_each_other() {
    let ports = [peer_port(), peer_port(), peer_port()];
    let mut cluster = Cluster::found(&["--port", &ports[0]]).await;
    let peer = format!("/dns/localhost/udp/{}/quic-v1", ports[0]);
    for (name, port) in [("two", &ports[1]), ("three", &ports[2])] {
        let token = cluster.token(&[]);
        let index = cluster.add(name, &["--connect", &peer, "--join-token", &token, "--port", port]);
        cluster.until_ready(index).await;
    }
    cluster
        .until("everyone hears and reaches everyone", async || {
            for node in 0..3 {
                if seen(&cluster, node).await != (2, 2) {
                    return false;
                }
            }
            true
        })
        .await;

    let listed = cluster.cli(0, &["mesh", "peers", "-o", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let names: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|peer| peer["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"two") && names.contains(&"three"), "{names:?}");
    let whole = cluster.get(0, "/api/cluster").await;
    assert_eq!(whole["peers"].as_array().map(Vec::len), Some(2));

    // Whoever looks at the network is shown all, and then what changes.
    let mut feed = cluster.feed(0, "/ws/network", &json!({"subscribe": ["peers", "links"]})).await;
    let snapshot = feed.next().await;
    assert_eq!((&snapshot["type"], &snapshot["revision"]), (&json!("snapshot"), &json!(1)));
    assert_eq!(snapshot["data"]["peers"].as_array().map(Vec::len), Some(2), "{snapshot}");
    let own = &snapshot["data"]["node"];
    let links = snapshot["data"]["links"].as_array().unwrap();
    let of_own = links.iter().filter(|link| link["from"] == *own && link["path"] == "direct").count();
    assert_eq!(of_own, 2, "{snapshot}");

    // A death is seen by all, and the dead was asked before anyone believed it.
    let dead = listed["items"].as_array().unwrap().iter().find(|peer| peer["name"] == "three").unwrap();
    let dead = dead["node"].clone();
    cluster.nodes[2].kill();
    feed.until(|told| {
        told["type"] == "link_gone" && told["data"]["from"] == *own && told["data"]["to"] == dead
    })
    .await;
    feed.until(|told| {
        told["type"] == "peer" && told["data"]["node"] == dead && told["data"]["standing"] != "live"
    })
    .await;
    cluster
        .until("a death is seen by all", async || {
            seen(&cluster, 0).await == (1, 1) && seen(&cluster, 1).await == (1, 1)
        })
        .await;
    cluster
        .until("the silent one was asked", async || {
            cluster.nodes[0].log().contains("a node fell silent and does not answer; its lease decides")
        })
        .await;
}

#[tokio::test]
async fn a_process_that_stood_still_blames_nobody_else() {
    let mut cluster = Cluster::found(&[]).await;
    let two = cluster.join("two", &[]).await;
    cluster
        .until("both hear each other", async || {
            seen(&cluster, 0).await.0 == 1 && seen(&cluster, two).await.0 == 1
        })
        .await;
    cluster.nodes[two].pause();
    cluster
        .until("its silence is noticed for long", async || peers(&cluster, 0).await[0]["standing"] == "dead")
        .await;
    cluster.nodes[two].resume();
    cluster
        .until("both hear each other again", async || {
            seen(&cluster, 0).await.0 == 1 && seen(&cluster, two).await.0 == 1
        })
        .await;
    assert!(cluster.nodes[0].log().contains("a node fell silent"));
    assert!(!cluster.nodes[two].log().contains("a node fell silent"), "it took its own stop for the other's");
}
