//! Volumes keep their data and their node; directories of the machine are bound only where it says so.

use reqwest::{Method, StatusCode};

use crate::harness::Daemon;

const DB: &str = r#"{"name":"db","containers":[{"name":"app","image":"db:1","mounts":[{"volume":"data","path":"/data"}]}],
    "volumes":[{"name":"data","size":"10Mi"}]}"#;

#[tokio::test]
async fn a_volume_outlives_its_instances_until_it_is_removed() {
    let mut daemon = Daemon::start().await;
    assert_eq!(daemon.post("/api/workloads", DB).await.status, StatusCode::CREATED);
    daemon.until_status("db", "running").await;
    let list = daemon.get("/api/volumes").await.body;
    let volume = &list["items"][0];
    assert_eq!(
        (&volume["name"], &volume["workload"], &volume["size"]),
        (&"data".into(), &"db".into(), &"10Mi".into())
    );
    assert_eq!((volume["state"].as_str(), volume["size_enforced"].as_bool()), (Some("in_use"), Some(false)));
    let path = daemon.dir.path().join("volumes/default/db/data/0");
    std::fs::write(path.join("kept"), "yes").unwrap();

    let delete = |path: &str| daemon.request(Method::DELETE, path);
    let refused = daemon.send(delete("/api/volumes/data")).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(
        refused.body["detail"].as_str().unwrap().contains("an instance of db uses it"),
        "{}",
        refused.body
    );
    daemon.send(delete("/api/workloads/db")).await;
    daemon
        .until("db is gone", async || daemon.get("/api/workloads/db").await.status == StatusCode::NOT_FOUND)
        .await;
    assert_eq!(std::fs::read_to_string(path.join("kept")).unwrap(), "yes");
    daemon
        .until("it is free", async || daemon.get("/api/volumes").await.body["items"][0]["state"] == "free")
        .await;

    daemon.post("/api/workloads", DB).await;
    daemon.until_status("db", "running").await;
    let again = daemon.get("/api/volumes").await.body;
    assert_eq!(again["items"].as_array().map(Vec::len), Some(1), "the same volume serves again");
    daemon.crash_and_restart().await;
    daemon.post("/api/workloads/db/scale", r#"{"replicas":0}"#).await;
    daemon
        .until("it is free", async || daemon.get("/api/volumes").await.body["items"][0]["state"] == "free")
        .await;
    let delete = |path: &str| daemon.request(Method::DELETE, path);
    assert_eq!(daemon.send(delete("/api/volumes/data")).await.status, StatusCode::ACCEPTED);
    daemon
        .until("the data is gone", async || {
            daemon.get("/api/volumes").await.body["items"].as_array().is_some_and(Vec::is_empty)
                && !path.exists()
        })
        .await;
    assert_eq!(daemon.send(delete("/api/volumes/data")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn two_versions_never_share_a_volume() {
    let daemon = Daemon::start().await;
    daemon.post("/api/workloads", DB).await;
    daemon.until_status("db", "running").await;
    let update = daemon.request(Method::PUT, "/api/workloads/db").body(DB.replace("db:1", "db:2"));
    assert_eq!(daemon.send(update).await.status, StatusCode::OK);
    daemon
        .until("the new version runs", async || {
            let instances = daemon.get("/api/workloads/db/instances").await.body;
            let live = |phase: &str| !matches!(phase, "stopped" | "failed" | "pending");
            let live = instances["items"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|one| live(one["phase"].as_str().unwrap()));
            assert!(live.count() <= 1, "{instances}");
            let view = daemon.get("/api/workloads/db").await.body;
            view["version"] == 2 && view["status"] == "running"
        })
        .await;
}

#[tokio::test]
async fn directories_are_bound_only_where_the_node_lets_them() {
    let body = |path: &str| {
        format!(r#"{{"name":"web","image":"web:1","volumes":[{{"name":"here","host_path":"{path}"}}]}}"#)
    };
    let daemon = Daemon::start().await;
    let answer = daemon.post("/api/workloads", &body("/etc")).await;
    assert_eq!((answer.status.as_u16(), answer.body["field"].as_str()), (422, Some("volumes[0].host_path")));
    assert!(answer.body["hint"].as_str().unwrap().contains("--allow-bind /etc"), "{}", answer.body);
    drop(daemon);

    let shared = tempfile::tempdir().unwrap();
    let root = shared.path().to_str().unwrap();
    std::fs::create_dir(shared.path().join("below")).unwrap();
    std::os::unix::fs::symlink("/etc", shared.path().join("escape")).unwrap();
    let daemon = Daemon::start_with(&["--runtime", "simulated", "--allow-bind", root]).await;
    assert_eq!(daemon.post("/api/workloads", &body(&format!("{root}x"))).await.status.as_u16(), 422);
    assert_eq!(daemon.post("/api/workloads", &body(&format!("{root}/../etc"))).await.status.as_u16(), 422);
    assert_eq!(daemon.post("/api/workloads", &body(&format!("{root}/below"))).await.status.as_u16(), 201);
    daemon.until_status("web", "running").await;
    let escape = body(&format!("{root}/escape")).replace("\"web\"", "\"escape\"");
    daemon.post("/api/workloads", &escape).await;
    daemon
        .until("the node refuses what a link leads to", async || {
            let view = daemon.get("/api/workloads/escape").await.body;
            view["message"].as_str().is_some_and(|message| message.contains("does not let /etc be bound"))
        })
        .await;
}
