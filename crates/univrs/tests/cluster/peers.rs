//! Machines that know only the address of a peer, and the views that nodes have of each other.

use serde_json::{Value, json};

use crate::harness::{Cluster, Feed};
use crate::ports::free_port;

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
    let ports = [free_port(), free_port(), free_port()].map(|port| port.to_string());
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

    let look = async || {
        let listed = cluster.cli(0, &["mesh", "peers", "-o", "json"]);
        serde_json::from_slice::<Value>(&listed.stdout).unwrap_or_default()
    };
    let named = |listed: &Value, name: &str| {
        listed["items"].as_array().and_then(|all| all.iter().find(|peer| peer["name"] == name).cloned())
    };
    let both = |listed: &Value| named(listed, "two").is_some() && named(listed, "three").is_some();
    let listed = cluster.until_seen("both are listed", look, both).await;
    let whole = async || cluster.get(0, "/api/cluster").await["peers"].as_array().map(Vec::len);
    cluster.until_seen("the cluster has both", whole, |peers| *peers == Some(2)).await;

    // Whoever looks at the network is shown all, and then what changes. What is connected is measured a little later.
    let look = async || {
        let mut feed = cluster.feed(0, "/ws/network", &json!({"subscribe": ["peers", "links"]})).await;
        let snapshot = feed.next().await;
        assert_eq!((&snapshot["type"], &snapshot["revision"]), (&json!("snapshot"), &json!(1)));
        (snapshot, feed)
    };
    let shown = |(snapshot, _): &(Value, Feed)| {
        let own = &snapshot["data"]["node"];
        let links = snapshot["data"]["links"].as_array().unwrap();
        let of_own = links.iter().filter(|link| link["from"] == *own && link["path"] == "direct").count();
        of_own == 2 && snapshot["data"]["peers"].as_array().map(Vec::len) == Some(2)
    };
    let (snapshot, mut feed) = cluster.until_seen("both are shown with their links", look, shown).await;
    let own = &snapshot["data"]["node"];

    // A death is seen by all, and the dead was asked before anyone believed it.
    let dead = named(&listed, "three").unwrap()["node"].clone();
    cluster.nodes[2].kill();
    // Told in whichever order it is found out.
    let (mut unlinked, mut silent) = (false, false);
    feed.until(|told| {
        unlinked |= told["type"] == "link_gone" && told["data"]["from"] == *own && told["data"]["to"] == dead;
        silent |=
            told["type"] == "peer" && told["data"]["node"] == dead && told["data"]["standing"] != "live";
        unlinked && silent
    })
    .await;
    cluster
        .until("a death is seen by all", async || {
            seen(&cluster, 0).await == (1, 1) && seen(&cluster, 1).await == (1, 1)
        })
        .await;
    cluster
        .until("the silent one was asked", async || {
            // By whoever noticed it first; the other may only have heard that it is dead.
            let asked = "a node fell silent and does not answer; its lease decides";
            cluster.nodes[0].log().contains(asked) || cluster.nodes[1].log().contains(asked)
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
    // Where the other gets no processor time either, it is silent for good reason: that is not so every time.
    let blamed = |log: String| log.matches("a node fell silent").count();
    let blamed_nobody = async || {
        let before = blamed(cluster.nodes[two].log());
        cluster.nodes[two].pause();
        cluster
            .until("its silence is noticed for long", async || {
                peers(&cluster, 0).await.first().is_some_and(|peer| peer["standing"] == "dead")
            })
            .await;
        cluster.nodes[two].resume();
        cluster
            .until("both hear each other again", async || {
                seen(&cluster, 0).await.0 == 1 && seen(&cluster, two).await.0 == 1
            })
            .await;
        cluster.until("the silence was told", async || blamed(cluster.nodes[0].log()) > 0).await;
        blamed(cluster.nodes[two].log()) == before
    };
    for _ in 0..5 {
        if blamed_nobody().await {
            return;
        }
    }
    panic!("it took its own stop for the other's, each time");
}
