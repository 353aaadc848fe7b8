//! The provider `swarm` over an engine of its own that manages a swarm of one.

use univrs_model::secret::SecretValue;
use univrs_ports::provider::Provider as _;
use univrs_ports::provider::conformance::check;
use univrs_provider::swarm::SwarmProvider;

use crate::docker::{
    at_every_change, fetch, measures_and_bounds, reaches, server, serves, survives_loss, try_in,
};
use crate::proxy::Loss;
use crate::world::{World, obstacle, shell, subject};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_swarm_provider_conforms_and_keeps_organisations_apart() {
    if let Some(obstacle) = obstacle() {
        eprintln!("NOT RUN: {obstacle}");
        return;
    }
    let world = World::new().await;
    let provider = SwarmProvider::new(world.options());
    let said = provider.describe().await;
    assert!(!said.available && said.message.contains("docker swarm init"), "{said:?}");
    world.begin_swarm();
    let said = provider.describe().await;
    assert!(said.available && said.room.is_some(), "{said:?}");
    // Beside each other, for most of it is waiting.
    let suite = subject();
    tokio::join!(
        check(&provider, &suite),
        keeps_apart(&world, &provider),
        measures_and_bounds(&provider, false),
        shares_a_network(&world, &provider),
        crate::compose::lives(&world, &provider),
    );
    assert_eq!(world.left(), Vec::<String>::new());
    // At every change the answer is lost once, and the process with it: another one goes on.
    let lost = async |number: usize| {
        survives_loss(&world, &provider, number, Loss::Answer, SwarmProvider::new).await
    };
    at_every_change(5, lost).await;
    assert_eq!(world.left(), Vec::<String>::new());
}

/// Organisations are apart, and a port of the host leads to its service.
async fn keeps_apart(world: &World, provider: &SwarmProvider) {
    let mut web = server(71, "shop");
    web.workloads[0].containers[0].ports = serde_json::from_value(
        serde_json::json!([{"name": "web", "container_port": 8080, "host_port": 19001}]),
    )
    .unwrap();
    provider.deploy(&web).await.unwrap();
    serves(provider, &web.resource).await;
    let mut client = world.engine.beside("busybox");
    client.args(["timeout", "5", "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:19001/address"]);
    let mut reached = false;
    for _ in 0..600 {
        reached = client.output().unwrap().status.success();
        if reached {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(reached);
    assert!(provider.taken_ports().await.unwrap().contains(&19001));
    let said = reaches(provider, "shop", 72, "web.shop.internal").await;
    let address = said.last().unwrap().split_whitespace().next().unwrap().to_owned();
    for to in ["web.shop.internal", &address] {
        let (reached, said) = try_in(provider, "other", 74, &fetch(to)).await;
        assert!(!reached, "another organisation reached {to}: {said:?}");
    }
    provider.destroy(&web.resource).await.unwrap();
}

/// The containers of a workload share a network and its secrets; when the network is lost, the same order brings it back.
async fn shares_a_network(world: &World, provider: &SwarmProvider) {
    let mut group = server(75, "acme");
    let spec = &mut group.workloads[0];
    let secret: univrs_model::name::Name = "key".parse().unwrap();
    spec.secrets = serde_json::from_value(serde_json::json!([
        {"name": "key", "file": "/run/key", "on_change": "signal"}
    ]))
    .unwrap();
    group.secrets.insert(secret.clone(), SecretValue::new(b"first".to_vec()));
    spec.containers[0].ports = serde_json::from_value(
        serde_json::json!([{"name": "web", "container_port": 8080, "host_port": 19007}]),
    )
    .unwrap();
    let mut second = spec.containers[0].clone();
    second.name = "second".parse().unwrap();
    second.ports.clear();
    second.mounts.clear();
    second.command = shell(
        "trap 'exit 0' TERM; trap : HUP; while :; do echo \"key $(busybox cat /run/key)\"; busybox sleep 0.2; done",
    )
    .command;
    spec.containers.push(second);
    provider.deploy(&group).await.unwrap();
    serves(provider, &group.resource).await;
    let reached = || {
        let mut client = world.engine.beside("busybox");
        client.args(["timeout", "5", "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:19007/address"]);
        client.output().unwrap().status.success()
    };
    assert!(reached());
    let (found, said) = try_in(provider, "acme", 76, &fetch("web.acme.internal")).await;
    assert!(found, "{said:?}");
    assert_eq!(
        provider.owned(&group.resource).await.unwrap().len(),
        5,
        "service, 2 containers, volume, secrets"
    );

    group.secrets.insert(secret, SecretValue::new(b"other".to_vec()));
    provider.rotate(&group).await.unwrap();
    until(async || provider.logs(&group.resource, 20).await.unwrap().iter().any(|line| line == "key other"))
        .await;

    // The container that holds the network is killed; the swarm begins another, with another network.
    let holder = world.docker(&[
        "ps",
        "-q",
        "--filter",
        "label=com.docker.swarm.task",
        "--filter",
        "name=univrs_acme_web",
    ]);
    world.docker(&["kill", &holder]);
    until(async || {
        !matches!(
            provider.status(&group.resource).await.unwrap(),
            univrs_ports::provider::Standing::Serving { .. }
        )
    })
    .await;
    until(async || provider.deploy(&group).await.is_ok()).await;
    serves(provider, &group.resource).await;
    assert!(reached());
    provider.destroy(&group.resource).await.unwrap();
}

/// Waits until it is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    for _ in 0..1200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it did not come to be so within a minute");
}
