//! Resources over the providers of a real engine: a control node is killed before each write of an operation, and
//! another one goes on. There is one resource then or none, and nothing that nobody owns.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use univrs_control::WriteOptions;
use univrs_model::caller::Caller;
use univrs_model::operation::OperationStatus;
use univrs_model::resource::{RESOURCE_LABEL, ResourceSpec};
use univrs_ports::provider::{Provider, ResourceRef};
use univrs_ports::store::{MemoryStore, StateStore};
use univrs_provider::docker::DockerProvider;
use univrs_provider::swarm::SwarmProvider;

use crate::mortal::Mortal;
use crate::resources::ControlNode;
use crate::world::{World, obstacle};

/// How many control nodes die at once: each leaves the engine with work.
const AT_ONCE: usize = 4;

/// Small, with what can be left behind: a volume, a secret. No port of the host: several stores would give the same.
const TEMPLATE: &str = r#"
id = "small"
name = "Small"
kind = "API"
version = 1
description = "A shell that waits, with a secret."
images.small = { official = "test/small:1" }
secrets.token = { kind = "password" }
credentials = { token = "{{secret.token}}" }
[[workloads]]
name = "{{name}}"
volumes = [{ name = "data", size = "1Mi" }]
secrets = [{ name = "{{secret.token.name}}", file = "/run/secrets/token" }]
[[workloads.containers]]
name = "app"
image = "{{image.small}}"
command = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do busybox sleep 1; done"]
limits = { cpu = "100m", memory = "32Mi" }
mounts = [{ volume = "data", path = "/data" }]
stop_grace = "1s"
"#;

async fn node(store: &Arc<dyn StateStore>, provider: &Arc<dyn Provider>) -> ControlNode {
    let template = univrs_template::Template::read(TEMPLATE).unwrap();
    ControlNode::start_with(store, Arc::clone(provider), vec![template]).await
}

/// Lets the control node die before its write number `writes` while it makes a resource, and another one while it
/// removes it. Answers whether they died before the end.
async fn crash(provider: &Arc<dyn Provider>, writes: u64) -> (bool, bool) {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
    let admin = Caller::local_admin();
    let name = format!("db{writes}");
    let spec: ResourceSpec =
        serde_json::from_value(json!({"name": name, "template": "small", "provider": provider.id()}))
            .unwrap();
    let mut died = Vec::new();
    for create in [true, false] {
        // Its first writes say which validator it is, and begin the change.
        let mortal = Mortal::after(&store, 2 + writes);
        let dying: Arc<dyn StateStore> = Arc::clone(&mortal) as _;
        let first = node(&dying, provider).await;
        let begun = if create {
            first.control.create_resource(&admin, &spec, &WriteOptions::default()).await
        } else {
            first.control.delete_resource(&admin, &name).await
        };
        let begun = begun.unwrap();
        let (id, resource) = (begun.operation.operation.id.clone(), begun.resource.id.clone());
        died.push(tokio::select! {
            () = mortal.front.ended.notified() => true,
            _ = first.ended(&id) => false,
        });
        first.crash().await;
        let second = node(&store, provider).await;
        let ended = second.ended(&id).await;
        let state = second.control.mirror().state();
        let error = &state.operations[&id].error;
        assert_eq!(ended, OperationStatus::Succeeded, "{create} after {writes} writes: {error:?}");
        let reference = ResourceRef {
            id: resource,
            org: admin.org.clone(),
            name: name.parse().unwrap(),
            workloads: vec![name.parse().unwrap()],
        };
        let owned = provider.owned(&reference).await.unwrap();
        let state = second.control.mirror().state();
        if create {
            // One of each: what runs, its volume, its secret; with Docker also what holds its network.
            let expected = if provider.id() == "docker" { 4 } else { 3 };
            assert_eq!(owned.len(), expected, "after {writes} writes: {owned:?}");
            assert_eq!(state.secrets.len(), 1);
        } else {
            assert_eq!(owned, Vec::<String>::new(), "after {writes} writes");
            assert!(state.secrets.is_empty() && state.resources.is_empty());
        }
    }
    (died[0], died[1])
}

async fn crashes(provider: Arc<dyn Provider>, every: usize) {
    let tries = stream::iter((0..26).step_by(every)).map(|writes| crash(&provider, writes));
    let died: Vec<(bool, bool)> = tries.buffer_unordered(AT_ONCE).collect().await;
    let count = |which: fn(&(bool, bool)) -> bool| died.iter().filter(|one| which(one)).count() * every;
    assert!(count(|one| one.0) >= 14 && count(|one| one.1) >= 8, "{died:?}");
}

/// Looks, until `done`, for containers that carry no id. Answers how often it looked.
async fn look_for_untagged(world: &World, done: &std::sync::atomic::AtomicBool) -> usize {
    let mut looks = 0;
    while !done.load(std::sync::atomic::Ordering::SeqCst) {
        let answer = world.engine.get("/containers/json?all=1").unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("[]", |(_, body)| body);
        for container in serde_json::from_str::<Vec<Value>>(body).unwrap_or_default() {
            assert!(container["Labels"][RESOURCE_LABEL].is_string(), "it carries no id: {container}");
            looks += 1;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    looks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_every_step_leaves_one_resource_or_none_in_a_real_engine() {
    if let Some(obstacle) = obstacle() {
        eprintln!("NOT RUN: {obstacle}");
        return;
    }
    let world = World::new().await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let work = async {
        world.begin_swarm();
        tokio::join!(
            crashes(Arc::new(DockerProvider::new(world.options())), 1),
            // The swarm takes seconds to end each; the steps are the same.
            crashes(Arc::new(SwarmProvider::new(world.options())), 2),
        );
        assert_eq!(world.left(), Vec::<String>::new());
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    let ((), looks) = tokio::join!(work, look_for_untagged(&world, &done));
    assert!(looks > 0, "there was nothing to look at");
}
