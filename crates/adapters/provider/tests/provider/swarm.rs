//! The provider `swarm` over an engine of its own that manages a swarm of one.

use std::sync::atomic::Ordering;

use univrs_ports::provider::Provider as _;
use univrs_ports::provider::conformance::{check, order};
use univrs_provider::swarm::SwarmProvider;

use crate::docker::{TRIES, fetch, reaches, server, serves, try_in};
use crate::proxy::{Loss, Proxy};
use crate::world::{World, obstacle, subject};

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
    check(&provider, &subject()).await;
    assert_eq!(world.left(), Vec::<String>::new());

    // Organisations are apart, and a port of the host leads to its service.
    let mut web = server(71, "acme");
    web.workloads[0].containers[0].ports = serde_json::from_value(
        serde_json::json!([{"name": "web", "container_port": 8080, "host_port": 19001}]),
    )
    .unwrap();
    provider.deploy(&web).await.unwrap();
    serves(&provider, &web.resource).await;
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
    let said = reaches(&provider, "acme", 72, "web.acme.internal").await;
    let address = said.last().unwrap().split_whitespace().next().unwrap().to_owned();
    for to in ["web.acme.internal", &address] {
        let (reached, said) = try_in(&provider, "other", 74, &fetch(to)).await;
        assert!(!reached, "another organisation reached {to}: {said:?}");
    }
    provider.destroy(&web.resource).await.unwrap();
    assert_eq!(world.left(), Vec::<String>::new());

    // A workload whose containers share a network is refused before anything is made.
    let mut group = order(&subject(), 75, "group");
    let mut second = group.workloads[0].containers[0].clone();
    second.name = "second".parse().unwrap();
    group.workloads[0].containers.push(second);
    let refused = provider.deploy(&group).await.unwrap_err().to_string();
    assert!(refused.contains("share a network"), "{refused}");
    assert_eq!(provider.owned(&group.resource).await.unwrap(), Vec::<String>::new());

    // At every change the answer is lost once, and the process with it: another one goes on.
    for number in 0.. {
        let wanted = order(&subject(), 101 + number as u128, "once");
        let proxy = Proxy::start(world.path("proxy.sock"), &world.engine.socket(), number, Loss::Answer);
        let broken = SwarmProvider::new(world.options_through(proxy.socket.clone()));
        let mut made = broken.deploy(&wanted).await;
        for _ in 0..TRIES {
            if made.is_err() {
                made = provider.deploy(&wanted).await;
            }
        }
        made.unwrap();
        serves(&provider, &wanted.resource).await;
        assert_eq!(provider.owned(&wanted.resource).await.unwrap().len(), 2, "lost answer {number}");
        let mut gone = broken.destroy(&wanted.resource).await;
        for _ in 0..TRIES {
            if gone.is_err() {
                gone = provider.destroy(&wanted.resource).await;
            }
        }
        gone.unwrap();
        assert_eq!(world.left(), Vec::<String>::new(), "lost answer {number}");
        if proxy.changes.load(Ordering::SeqCst) <= number {
            assert!(number >= 5, "only {number} changes were asked for");
            break;
        }
    }
}
