//! What providers measure: seen in the resource while it is there, and in what usage is made of when it is gone.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use univrs_control::ResourceMeter;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::ids::NodeId;
use univrs_model::quantity::Bytes;
use univrs_model::usage::{Measured, Meter, Reading};
use univrs_ports::provider::ResourceUse;
use univrs_ports::volumes::VolumeUse;
use univrs_provider::simulated::Script;

use crate::resources::{ControlNode, world};

#[tokio::test]
async fn what_a_provider_measures_is_shown_and_written_down() {
    let reading = Reading {
        since: Timestamp::UNIX_EPOCH,
        cpu_micros: 5_000_000,
        network_in: 7,
        network_out: 70,
        requests: Some(12),
    };
    let uses = ResourceUse {
        readings: [("app".to_owned(), reading)].into(),
        memory: 4 << 20,
        volumes: [
            ("data".to_owned(), VolumeUse { used: 90, capacity: Some(100) }),
            ("more".to_owned(), VolumeUse { used: 900, capacity: None }),
        ]
        .into(),
    };
    let (store, provider) = world(Script { uses: Some(uses), ..Script::default() });
    let node = ControlNode::start(&store, &provider).await;
    node.create().await.unwrap();
    node.active().await;
    assert_eq!(node.control.get_resource(&Caller::local_admin(), "db").unwrap().usage, None);

    let (_leads, leading) = watch::channel(true);
    let stop = CancellationToken::new();
    let meter =
        ResourceMeter::new(node.control.clone(), NodeId::from_bits(1)).every(Duration::from_millis(20));
    let running = tokio::spawn(meter.run(leading, stop.clone()));
    node.until("it was measured", |view| view.is_some_and(|view| view.usage.is_some())).await;
    let usage = node.control.get_resource(&Caller::local_admin(), "db").unwrap().usage.unwrap();
    assert_eq!((usage.memory, usage.storage), (Bytes::mebibytes(4), Bytes::new(990)));
    assert_eq!((usage.network_in, usage.network_out, usage.requests), (7, 70, Some(12)));
    let listed = node.control.list_resources(&Caller::local_admin()).unwrap().0;
    assert_eq!(listed[0].usage.as_ref().map(|usage| usage.requests), Some(Some(12)));

    let removal = node.control.delete_resource(&Caller::local_admin(), "db").await.unwrap();
    node.ended(&removal.operation.operation.id).await;
    let mut states = node.control.mirror().subscribe();
    let closed = states.wait_for(|state| state.measured.values().any(|measured| measured.closed));
    let state = tokio::time::timeout(Duration::from_secs(300), closed).await.unwrap().unwrap().clone();
    let all: Vec<&Measured> = state.measured.values().map(|record| &**record).collect();
    // One for each hour that it was there in.
    let sum = |meter: Meter| all.iter().filter_map(|one| one.amounts().get(&meter).copied()).sum::<u64>();
    assert_eq!((sum(Meter::CpuUsed), sum(Meter::NetworkOut), sum(Meter::Requests)), (5000, 70, 12));
    assert!(all.iter().all(|one| one.by.as_deref() == Some("simulated")), "{all:?}");
    assert_eq!(all.iter().filter_map(|one| one.fullest.as_ref()).map(|seen| seen.used).max(), Some(90));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn requests_that_an_ingress_passed_on_are_its_resources() {
    let (store, provider) = world(Script::default());
    let node = ControlNode::start(&store, &provider).await;
    node.create().await.unwrap();
    node.active().await;
    let (_leads, leading) = watch::channel(true);
    let stop = CancellationToken::new();
    let counted = || vec![("db".to_owned(), 5), ("other".to_owned(), 50), ("db.acme".to_owned(), 500)];
    let meter = ResourceMeter::of_ingress(node.control.clone(), NodeId::from_bits(1), Box::new(counted));
    let running = tokio::spawn(meter.every(Duration::from_millis(20)).run(leading, stop.clone()));
    node.until("its requests were counted", |view| {
        view.and_then(|view| view.usage).is_some_and(|usage| usage.requests == Some(5))
    })
    .await;
    let state = node.control.mirror().state();
    assert!(state.measured.values().all(|one| one.by.as_deref() == Some("ingress")));
    stop.cancel();
    running.await.unwrap();
}
