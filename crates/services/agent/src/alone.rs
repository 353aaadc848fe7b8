//! What a daemon does that was started again on a node that is cut off: nobody tells it anything, and what may not run
//! on such a node still has to end.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;
use univrs_model::ids::NodeId;
use univrs_model::instance::InstanceOrder;
use univrs_ports::control_plane::ControlPlane;
use univrs_ports::runtime::ContainerPhase;
use univrs_rollout::loss::stop_after;

use crate::agent::Machine;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);

/// Ends what its spec names, as long after the start of this process as the spec says. Runs until it is dropped, which
/// is when the control plane has heard the node.
///
/// When the node was last heard is not known here. The control plane waits for `stop_after` from the end of the lease,
/// which outlives the last sign of life by four seconds: a daemon that is started again within these is in time.
pub(crate) async fn end_what_may_not_run(machine: &Machine, control: &Arc<dyn ControlPlane>, node: &NodeId) {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(orders) = control.orders(node).next().await else { return };
        let due = |order: &&InstanceOrder| {
            stop_after(&order.spec).is_some_and(|after| begun.elapsed() >= after.duration())
        };
        for order in orders.iter().filter(due) {
            end(machine, order).await;
        }
    }
}

async fn end(machine: &Machine, order: &InstanceOrder) {
    let id = &order.assignment.id;
    let found = match machine.runtime.list().await {
        Ok(found) => found.containers,
        Err(error) => {
            tracing::warn!(instance = %id, %error, "cannot see what runs here; trying again");
            return;
        }
    };
    let running =
        found.iter().filter(|found| found.id.instance == *id && found.phase == ContainerPhase::Running);
    for container in running {
        let name = &container.id.container;
        let grace = order.spec.containers().into_iter().find(|c| c.name == *name).map(|c| c.stop_grace);
        tracing::warn!(container = %container.id, "stopping what may not run on a node that is cut off");
        if let Err(error) = machine.runtime.stop(&container.id, grace.unwrap_or_default()).await {
            tracing::warn!(container = %container.id, %error, "a container could not be stopped; trying again");
        }
    }
}
