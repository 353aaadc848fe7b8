//! What an organisation may send in a month: counted from the log and from what is still measured, refused with numbers,
//! given back when more is allowed or the month is over.

use serde_json::json;
use univrs_control::WriteOptions;
use univrs_model::caller::Caller;
use univrs_model::event::EventKind;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::quantity::Bytes;
use univrs_model::resource::{Quota, ResourceSpec};
use univrs_model::usage::Measured;

use crate::watching::{World, at};

#[tokio::test]
async fn who_has_sent_what_it_may_is_told_so_until_the_month_is_over() {
    let world = World::new("2026-11-10T12:30:00Z").await;
    let _leads = world.lead();
    let resource = world.resource("ACTIVE", "1").await;
    let (admin, org) = (Caller::local_admin(), Name::default_org());
    let allow = async |egress: u64| {
        let quota = Quota { egress: Some(Bytes::new(egress)), ..Quota::default() };
        world.control.set_resource_quota(&admin, org.as_str(), quota).await.unwrap();
    };
    let measured = async |number: u128, closed: bool, network_out: u64| {
        let (node, instance) = (NodeId::from_bits(7), InstanceId::from_bits(number));
        let begun = Measured::begun(
            instance.clone(),
            resource.id.clone(),
            resource.org.clone(),
            at("2026-11-10T12:30:00Z"),
        );
        let measured = Measured { through: at("2026-11-10T12:40:00Z"), closed, network_out, ..begun };
        world.put(keys::measured(&node, measured.window, &instance), &json!(measured)).await;
    };
    allow(1000).await;
    measured(8, true, 700).await;
    let spec: ResourceSpec =
        serde_json::from_value(json!({"name": "other", "template": "small-storage"})).unwrap();
    let refused = async || {
        let outcome = world.control.create_resource(&admin, &spec, &WriteOptions::default()).await;
        outcome.unwrap_err().to_string()
    };
    assert!(!refused().await.contains("egress"), "{}", refused().await);

    // What is still measured counts as well.
    measured(9, false, 300).await;
    world.clock.set(at("2026-11-10T12:50:00Z"));
    world.until("it is spent", |state| state.egress_spent.contains_key(&org)).await;
    let spent = refused().await;
    assert!(spent.contains("egress: 1000 went out this month, and there may be 1000"), "{spent}");
    let events = world.control.list_events(&admin, None, 100).await;
    let told = events.unwrap().items.iter().filter(|view| view.event.kind == EventKind::EgressSpent).count();
    assert_eq!(told, 1);

    allow(2000).await;
    world.until("more is allowed", |state| state.egress_spent.is_empty()).await;
    allow(500).await;
    world.until("it is spent again", |state| state.egress_spent.contains_key(&org)).await;
    world.clock.set(at("2026-12-01T00:02:00Z"));
    world.until("another month has begun", |state| state.egress_spent.is_empty()).await;
}
