//! Upgrades: what is there goes on under another revision, and what fails is as it was.

use std::time::Duration;

use univrs_model::caller::Caller;
use univrs_model::operation::OperationStatus;
use univrs_model::resource::{RELEASE_LABEL, ResourceStatus};
use univrs_provider::simulated::{Outcome, Script};

use crate::resources::{ControlNode, world};

fn release(node: &ControlNode) -> Option<String> {
    let state = node.control.mirror().state();
    let resource = state.resources.values().next().unwrap();
    resource.deployment.workloads[0].labels.get(RELEASE_LABEL).cloned()
}

#[tokio::test]
async fn an_upgrade_rolls_what_is_there_and_keeps_its_ports_and_secrets() {
    let (store, provider) = world(Script { until_serving: Duration::from_millis(30), ..Script::default() });
    let node = ControlNode::start(&store, &provider).await;
    let admin = Caller::local_admin();
    node.create().await.unwrap();
    node.active().await;
    let before = node.control.get_resource(&admin, "db").unwrap();
    assert_eq!(release(&node), None);
    let begun = node.control.upgrade_resource(&admin, "db").await.unwrap();
    assert_eq!(begun.resource.status, ResourceStatus::Maintenance);
    assert_eq!(node.ended(&begun.operation.operation.id).await, OperationStatus::Succeeded);
    node.active().await;
    let after = node.control.get_resource(&admin, "db").unwrap();
    assert_eq!((&after.endpoints, &after.footprint), (&before.endpoints, &before.footprint));
    assert!(release(&node).is_some());
    assert_eq!(provider.made(), 1);
}

#[tokio::test]
async fn an_upgrade_that_fails_is_taken_back() {
    let outcomes = [Outcome::Works, Outcome::Refuses].into();
    let script = Script { outcomes, until_serving: Duration::from_millis(30), ..Script::default() };
    let (store, provider) = world(script);
    let node = ControlNode::start(&store, &provider).await;
    let admin = Caller::local_admin();
    node.create().await.unwrap();
    node.active().await;
    let begun = node.control.upgrade_resource(&admin, "db").await.unwrap();
    assert_eq!(node.ended(&begun.operation.operation.id).await, OperationStatus::Undone);
    node.active().await;
    assert_eq!(release(&node), None);
    // One that does not serve is not upgraded, and one at a time.
    let again = node.control.upgrade_resource(&admin, "db").await.unwrap();
    assert!(node.control.upgrade_resource(&admin, "db").await.is_err());
    assert_eq!(node.ended(&again.operation.operation.id).await, OperationStatus::Succeeded);
}
