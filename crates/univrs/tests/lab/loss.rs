//! A region or a whole cloud goes away: the cluster goes on deciding, and the work goes on elsewhere.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Lab, possible};

/// Three replicas spread over three clouds.
async fn spread(lab: &Lab) {
    let body = json!({"name": "web", "image": "web:1", "replicas": 3, "placement": {"spread": ["cloud"]}});
    lab.make("/api/workloads", &body).await;
    let clouds = async || {
        let running = lab.running("web").await;
        let mut clouds: Vec<_> =
            running.iter().map(|one| one["cloud"].as_str().unwrap().to_owned()).collect();
        clouds.sort();
        clouds
    };
    lab.until_seen("three replicas run, each in a cloud", clouds, |seen| *seen == ["aws", "azure", "gcp"])
        .await;
}

#[tokio::test]
async fn a_cloud_dies_and_its_work_goes_on_elsewhere() {
    if !possible() {
        return;
    }
    let lab = Lab::up(6, "aws:us-east-1,azure:eastus,gcp:us-central1", "simulated").await;
    spread(&lab).await;
    // The cloud of the machine that made the cluster.
    lab.does(&["kill", "--cloud", "aws"]);
    lab.until(15, "writes are taken again", async || lab.write("web", 1).await).await;
    lab.until(30, "three replicas run without the cloud", async || {
        let running = lab.running("web").await;
        running.len() == 3 && running.iter().all(|instance| instance["cloud"] != "aws")
    })
    .await;
    lab.does(&["heal", "--cloud", "aws"]);
    lab.until(20, "all nodes are ready again", async || lab.ready().await == 6).await;
    lab.until(10, "writes are taken by all", async || lab.write("web", 2).await).await;
}

#[tokio::test]
async fn a_region_dies_and_comes_back() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, "aws:us-east-1,aws:us-west-2,gcp:us-central1", "simulated").await;
    let body = json!({"name": "web", "image": "web:1", "replicas": 3, "placement": {"spread": ["region"]}});
    lab.make("/api/workloads", &body).await;
    lab.until(20, "three replicas run", async || lab.running("web").await.len() == 3).await;
    lab.does(&["kill", "--region", "us-west-2"]);
    lab.until(15, "writes are taken again", async || lab.write("web", 1).await).await;
    lab.until(30, "all replicas run elsewhere", async || {
        let running = lab.running("web").await;
        running.len() == 3 && running.iter().all(|instance| instance["region"] != "us-west-2")
    })
    .await;
    lab.does(&["heal"]);
    lab.until(20, "all nodes are ready again", async || lab.ready().await == 3).await;
}

#[tokio::test]
async fn a_paused_leader_is_replaced_and_obeys_when_it_wakes() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, "aws:us-east-1,azure:eastus,gcp:us-central1", "simulated").await;
    spread(&lab).await;
    let leader = lab.leader().await;
    lab.does(&["pause", "--node", &leader]);
    let paused = Instant::now();
    lab.until(5, "it is seen to be paused", async || {
        lab.status()["nodes"].as_array().unwrap().iter().any(|node| node["state"] == "paused")
    })
    .await;
    lab.until(15, "another leads and takes writes", async || lab.write("web", 1).await).await;
    lab.until(30, "its work runs elsewhere", async || {
        let running = lab.running("web").await;
        running.len() == 3 && running.iter().all(|instance| instance["node_name"] != leader.as_str())
    })
    .await;
    // Longer than every lease, timeout and patience of the others.
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(paused.elapsed())).await;
    lab.does(&["heal", "--node", &leader]);
    lab.until(20, "all nodes are ready again", async || lab.ready().await == 3).await;
    lab.until(10, "there are three replicas, no more", async || lab.running("web").await.len() == 3).await;
}

#[tokio::test]
async fn a_line_that_fails_one_way_stops_nobody() {
    if !possible() {
        return;
    }
    let lab = Lab::up(3, "aws:us-east-1,azure:eastus,gcp:us-central1", "simulated").await;
    spread(&lab).await;
    let leader = lab.leader().await;
    let other = ["n1", "n2", "n3"].into_iter().find(|name| *name != leader).unwrap();
    // What one sends, the other does not get; what that one sends still arrives. First a follower's words are lost,
    // then the leader's.
    for (from, to, mark) in [(other, leader.as_str(), 1), (leader.as_str(), other, 2)] {
        lab.does(&["partition", from, to, "--one-way"]);
        lab.until(20, "writes are taken", async || lab.write("web", mark).await).await;
        lab.until(30, "three replicas run", async || lab.running("web").await.len() >= 3).await;
        lab.does(&["heal"]);
        lab.until(20, "all nodes are ready again", async || lab.ready().await == 3).await;
        lab.until(10, "there are three replicas, no more", async || lab.running("web").await.len() == 3)
            .await;
    }
}
