//! The loops that decide. They run on every node that holds a copy of the state, and act on the one that leads.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_control::{
    CertificateUpkeep, ClusterUpgrade, Control, Inbox, Mirror, NodeDrain, OperationRunner, Reconciler,
    ResourceMeter, ResourceUpkeep, ResourceWatcher, Voting, Watching,
};
use univrs_model::ids::NodeId;
use univrs_ports::clock::Clock;
use univrs_ports::issuer::Issuer;
use univrs_ports::notify::Notifier;
use univrs_ports::programs::Programs;
use univrs_ports::store::StateStore;
use univrs_store::RaftStore;

/// What the loops are made of.
pub(super) struct Parts<'a> {
    pub(super) node: &'a NodeId,
    pub(super) copy: &'a RaftStore,
    pub(super) store: &'a Arc<dyn StateStore>,
    pub(super) mirror: &'a Mirror,
    /// Wakes the reconciler.
    pub(super) changes: Inbox,
    /// Wakes the runner of operations.
    pub(super) operations: Inbox,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) control: &'a Control,
    pub(super) programs: Arc<dyn Programs>,
    pub(super) notifier: &'a Arc<dyn Notifier>,
    /// Who certifies hosts, where that is this node's to ask.
    pub(super) issuer: Option<Arc<dyn Issuer>>,
}

/// Starts all of them.
pub(super) fn start(parts: Parts<'_>, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let Parts { node, copy, store, mirror, changes, operations, clock, control, .. } = parts;
    let leading = copy.leading();
    let reconciler =
        Reconciler::new(Arc::clone(store), mirror.clone(), changes, Arc::clone(clock), leading.clone());
    tasks.spawn(reconciler.run(shutdown.clone()));

    let mut kinds = univrs_control::resource_kinds(control);
    kinds.push(Arc::new(NodeDrain::new(Arc::clone(store), mirror.clone(), Arc::clone(clock))));
    let admin = Arc::new(copy.clone());
    kinds.push(Arc::new(ClusterUpgrade::new(mirror.clone(), parts.programs, admin, node.clone())));
    let runner = OperationRunner::new(
        Arc::clone(store),
        mirror.clone(),
        operations,
        Arc::clone(clock),
        kinds,
        leading.clone(),
    );
    tasks.spawn(runner.run(shutdown.clone()));

    tasks.spawn(ResourceWatcher::new(control.clone()).run(leading.clone(), shutdown.clone()));
    let meter = ResourceMeter::new(control.clone(), node.clone());
    tasks.spawn(meter.run(leading.clone(), shutdown.clone()));
    tasks.spawn(ResourceUpkeep::new(control.clone()).run(leading.clone(), shutdown.clone()));
    let watching = Watching::new(control.clone(), Arc::clone(parts.notifier));
    tasks.spawn(watching.run(leading.clone(), shutdown.clone()));
    if let Some(issuer) = parts.issuer {
        let upkeep = CertificateUpkeep::new(control.clone(), issuer);
        tasks.spawn(upkeep.run(leading.clone(), shutdown.clone()));
    }
    let voting = Voting::new(Arc::new(copy.clone()), mirror.clone());
    tasks.spawn(voting.run(leading, shutdown.clone()));
}
