//! Machines that know only the address of a peer, and the two views that nodes have of each other.

use std::net::UdpSocket;

use serde_json::Value;

use crate::harness::Cluster;

fn free_udp_port() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// The others as a node sees them: how many are heard of, and how many connected.
async fn seen(cluster: &Cluster, node: usize) -> (usize, usize) {
    let (_, body) = cluster.send(node, reqwest::Method::GET, "/api/peers", None).await;
    let peers = body["items"].as_array().cloned().unwrap_or_default();
    let count = |test: &dyn Fn(&Value) -> bool| peers.iter().filter(|peer| test(peer)).count();
    (count(&|peer| peer["standing"] == "live"), count(&|peer| peer["connected"] == true))
}

#[tokio::test]
async fn a_machine_joins_by_the_address_of_a_peer_and_all_see_each_other() {
    let ports = [free_udp_port(), free_udp_port(), free_udp_port()];
    let mut cluster = Cluster::found(&["--port", &ports[0]]).await;
    let peer = format!("/dns/localhost/udp/{}/quic-v1", ports[0]);
    for (name, port) in [("two", &ports[1]), ("three", &ports[2])] {
        let token = cluster.token(&[]);
        let index = cluster.add(name, &["--connect", &peer, "--join-token", &token, "--port", port]);
        cluster.until_ready(index).await;
    }
    let took = cluster
        .until("everyone hears and reaches everyone", async || {
            for node in 0..3 {
                if seen(&cluster, node).await != (2, 2) {
                    return false;
                }
            }
            true
        })
        .await;
    assert!(took.as_secs() < 20, "{took:?}");

    let listed = cluster.cli(0, &["mesh", "peers", "-o", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let names: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|peer| peer["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"two") && names.contains(&"three"), "{names:?}");
    let (_, whole) = cluster.send(0, reqwest::Method::GET, "/api/cluster", None).await;
    assert_eq!(whole["peers"].as_array().map(Vec::len), Some(2));

    cluster.nodes[2].kill();
    cluster
        .until("a death is seen by all", async || {
            seen(&cluster, 0).await.0 == 1 && seen(&cluster, 1).await.0 == 1
        })
        .await;
}
