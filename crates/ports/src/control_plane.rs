//! What a node asks of the control plane: its orders, and a place to report to.
//!
//! On the machine that holds the state this is a few memory reads; on others it travels over the network.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::stream::BoxStream;
use univrs_model::event::Event;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::{InstanceOrder, Observation};
use univrs_model::name::Name;
use univrs_model::node::Node;
use univrs_model::usage::{Measured, Measures};
use univrs_model::volume::Volume;

/// Why the control plane did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// It cannot be reached or has no leader; trying again may help.
    #[error("the control plane is not available: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
    /// It does not know this node (any more).
    #[error("the control plane does not accept node {node}: {reason}")]
    Refused {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: String,
    },
}

/// What is ordered of instances from now on; nothing: whatever is left of them is to go.
pub type OrderChanges = BTreeMap<InstanceId, Option<InstanceOrder>>;

/// What a node tells at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Observations that changed.
    pub observations: Vec<Observation>,
    /// Instances of which nothing is left and that have no order any more.
    pub gone: Vec<InstanceId>,
    /// What happened, with the organisation it belongs to.
    pub events: Vec<(Name, Event)>,
}

/// The control plane as a node sees it.
#[async_trait]
pub trait ControlPlane: Send + Sync + 'static {
    /// Makes the node known and alive. Called at start and whenever something about the node changed.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    async fn register(&self, node: &Node) -> Result<(), ControlPlaneError>;

    /// Says that the node is alive; to be called well within the lease of four seconds.
    ///
    /// # Errors
    /// See [`ControlPlaneError`]; after [`ControlPlaneError::Refused`], register again.
    async fn keep_alive(&self, node: &NodeId) -> Result<(), ControlPlaneError>;

    /// All orders of the node first, even if there are none, and then what changes. A slow reader gets what changed since
    /// it read last.
    fn orders(&self, node: &NodeId) -> BoxStream<'static, OrderChanges>;

    /// Every image that a workload or one of its kept versions names, in all organisations.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    async fn images_named(&self) -> Result<BTreeSet<String>, ControlPlaneError>;

    /// The volumes that the node is to remove, whole, now and after each change.
    fn unwanted_volumes(&self, node: &NodeId) -> BoxStream<'static, Vec<Volume>>;

    /// Says that nothing is left of a volume. May be said again.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    async fn volume_removed(&self, node: &NodeId, volume: &Volume) -> Result<(), ControlPlaneError>;

    /// The last observations the node reported, so that it can go on where it was.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    async fn reported(&self, node: &NodeId) -> Result<Vec<Observation>, ControlPlaneError>;

    /// Tells what was observed and what happened.
    ///
    /// # Errors
    /// See [`ControlPlaneError`]; nothing was taken in then, or all of it.
    async fn report(&self, node: &NodeId, report: Report) -> Result<(), ControlPlaneError>;

    /// What the node told of windows that are not over, so that it can go on where it was.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    async fn measured_before(&self, node: &NodeId) -> Result<Vec<Measured>, ControlPlaneError> {
        let _ = node;
        Ok(Vec::new())
    }

    /// Tells what was measured; each entry takes the place of the one before it.
    ///
    /// # Errors
    /// See [`ControlPlaneError`]; nothing was taken in then, or all of it.
    async fn measured(&self, node: &NodeId, measures: Measures) -> Result<(), ControlPlaneError> {
        let _ = (node, measures);
        Ok(())
    }
}
