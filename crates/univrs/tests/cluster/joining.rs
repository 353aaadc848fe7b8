//! Who is let in, and who is not.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Cluster, univrs};

#[tokio::test]
async fn only_good_tokens_let_a_machine_in() {
    let mut cluster = Cluster::found(&["--role", "validator"]).await;
    let slim = cluster.token(&["--role", "slim"]);
    // Tampered, for another role, for another cluster, of another cluster, without a name of its own.
    let cut = &slim[..slim.len() - 1];
    assert!(cluster.refused(&["--name", "x", "--join-token", cut]).contains("is it cut off?"));
    let parts: Vec<&str> = slim.split('.').collect();
    let wrong = [parts[0], parts[1], parts[2], parts[3], &"0".repeat(64)].join(".");
    let said = cluster.refused(&["--name", "x", "--join-token", &wrong]);
    assert!(said.contains("is not valid here") && said.contains("univrs join-token create"), "{said}");
    let said = cluster.refused(&["--name", "x", "--join-token", &slim, "--role", "validator"]);
    assert!(said.contains("lets a machine become slim, not validator"), "{said}");
    let raised = [parts[0], "slim+validator", parts[2], parts[3], parts[4]].join(".");
    let said = cluster.refused(&["--name", "x", "--join-token", &raised]);
    assert!(said.contains("lets a machine become slim, not validator"), "{said}");
    let elsewhere = [parts[0], parts[1], &"ab".repeat(32), parts[3], parts[4]].join(".");
    let said = cluster.refused(&["--name", "x", "--join-token", &elsewhere]);
    assert!(said.contains("belongs to another cluster than the join token"), "{said}");
    let said = cluster.refused(&["--name", "x", "--join-token", &slim, "--ca-sha256", &"ab".repeat(32)]);
    assert!(said.contains("the join token is of the authority"), "{said}");
    let said = cluster.refused(&["--name", "one", "--join-token", &slim]);
    assert!(said.contains("the name `one` is taken"), "{said}");
    let said = cluster.refused(&["--name", "x"]);
    assert!(said.contains("needs a token"), "{said}");
    // None of that has used it up.
    let host = cluster.host();
    let two = cluster.add("two", &["--join", &host, "--join-token", &slim]);
    cluster.until_ready(two).await;
    let said = cluster.refused(&["--name", "x", "--join-token", &slim]);
    assert!(said.contains("the join token has been used"), "{said}");
    // Its time is over, or somebody ended it.
    let short = cluster.token(&["--ttl", "1s"]);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert!(cluster.refused(&["--name", "x", "--join-token", &short]).contains("the join token ended at"));
    let ended = cluster.token(&[]);
    let id = ended.split('.').nth(3).unwrap();
    assert!(cluster.cli(0, &["join-token", "revoke", id]).status.success());
    assert!(cluster.refused(&["--name", "x", "--join-token", &ended]).contains("is not valid here"));
    // What is listed has no secret, and each write left its trace.
    let (_, listed) = cluster.send(0, Method::GET, "/api/join-tokens", None).await;
    assert!(!listed.to_string().contains(parts[4]), "{listed}");
    let audit = cluster.get(0, "/api/audit?org=default").await.to_string();
    assert!(!audit.contains(parts[4]));
    // Whoever has the directory goes on in it, whatever the token says by then.
    cluster.nodes[two].kill();
    cluster.nodes[two].start();
    cluster.until_ready(two).await;
    assert_eq!(cluster.node_view(0, "two").await["block"], "100.64.1.0/24");
    // A cluster of its own is not joined to another.
    let dir = tempfile::tempdir().unwrap();
    let token = cluster.token(&[]);
    let other = Cluster::found(&["--role", "validator"]).await;
    let foreign = other.refused(&["--name", "x", "--join-token", &token]);
    assert!(foreign.contains("belongs to another cluster"), "{foreign}");
    drop(dir);
}

#[tokio::test]
async fn a_removed_node_stays_out_and_its_block_is_free_again() {
    let mut cluster = Cluster::found(&["--role", "validator"]).await;
    let two = cluster.join("two", &["--role", "business"]).await;
    let alive = cluster.cli(0, &["node", "rm", "two"]);
    assert!(String::from_utf8_lossy(&alive.stderr).contains("it is alive"));
    cluster.nodes[two].kill();
    cluster.until("two is lost", async || cluster.node_view(0, "two").await["state"] == "lost").await;
    assert!(cluster.cli(0, &["node", "rm", "two"]).status.success());
    cluster.nodes[two].start();
    let three = cluster.join("three", &["--role", "slim"]).await;
    assert_eq!(cluster.node_view(three, "three").await["block"], "100.64.1.0/24");
    let nodes = cluster.get(0, "/api/nodes").await;
    let names: Vec<&str> =
        nodes["items"].as_array().unwrap().iter().filter_map(|node| node["name"].as_str()).collect();
    assert_eq!(names, ["one", "three"]);
    // A node that only runs workloads reads, and writes of itself alone.
    let refused = cluster
        .send(three, Method::POST, "/api/workloads", Some(json!({"name": "web", "image": "web:1"})))
        .await;
    assert_eq!(refused.0, 403, "{}", refused.1);
    assert!(refused.1["detail"].as_str().unwrap().contains("only runs workloads"), "{}", refused.1);
}

#[tokio::test]
async fn a_machine_that_claims_what_none_has_gets_no_work() {
    let mut cluster = Cluster::found(&[]).await;
    let (host, token) = (cluster.host(), cluster.token(&[]));
    let flags = ["--join", &host, "--join-token", &token, "--role", "slim", "--capacity", "cpu=5000000"];
    let liar = cluster.add("liar", &flags);
    cluster
        .until("it is told why", async || cluster.nodes[liar].log().contains("which no machine has"))
        .await;
    // It would be the emptiest of all.
    cluster
        .taken(0, Method::POST, "/api/workloads", &json!({"name": "web", "image": "web:1", "replicas": 3}))
        .await;
    let running = cluster.until_running(0, "web", 3).await;
    assert!(running.iter().all(|(_, node)| node == "one"), "{running:?}");
}

#[tokio::test]
async fn thousands_of_connections_from_one_address_hurt_nobody() {
    let mut cluster = Cluster::found(&["--role", "validator"]).await;
    let host = cluster.host();
    let mut open = Vec::new();
    for _ in 0..10_000 {
        match tokio::net::TcpStream::connect(&host).await {
            Ok(stream) => open.push(stream),
            Err(_) => break,
        }
        // This process may have fewer file descriptors than that.
        if open.len() >= 500 {
            open.drain(..250);
        }
    }
    let (status, _) = cluster.send(0, Method::GET, "/api/cluster", None).await;
    assert_eq!(status, 200);
    drop(open);
    cluster.join("two", &["--role", "slim"]).await;
}

#[test]
fn a_taken_port_stops_who_joins_and_warns_who_is_alone() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let asked = univrs()
        .args(["up", "--name", "x", "--runtime", "simulated", "--api", "127.0.0.1:0", "--node-listen", &port])
        .args(["--join", "127.0.0.1:1", "--join-token", "x", "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&asked.stderr);
    assert!(asked.status.code() == Some(1) && said.contains("another --node-listen"), "{said}");
}
