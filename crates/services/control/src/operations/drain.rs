//! Moving everything away from a node: no new instances, then wait until the last has left.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::NodeId;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::node::{Node, NodePolicy};
use univrs_model::operation::Operation;
use univrs_ports::clock::Clock;
use univrs_ports::store::{StateStore, Txn, TxnOutcome};

use crate::error::Error;
use crate::mirror::Mirror;
use crate::operations::{OperationKind, StepError, begin};
use crate::record::{put, unchanged};
use crate::state::State;

/// The name of the kind.
pub(crate) const KIND: &str = "node_drain";
/// How many of the instances that are left a message names.
const NAMED: usize = 5;

/// The operation that drains `node` until `deadline`, if there is one.
pub(super) fn operation(
    caller: &Caller,
    node: &Node,
    deadline: Option<Timestamp>,
    now: Timestamp,
) -> Operation {
    let mut parameters = Map::new();
    parameters.insert("node".into(), json!(node.id));
    if let Some(deadline) = deadline {
        parameters.insert("deadline".into(), json!(deadline));
    }
    let steps = vec![
        begin::waiting("keep new instances away", "cordon", 0),
        begin::waiting("wait until it is empty", "move", 20),
    ];
    begin::operation(caller, KIND, node.name.to_string(), parameters, steps, now)
}

/// Drains nodes.
pub struct NodeDrain {
    store: Arc<dyn StateStore>,
    mirror: Mirror,
    clock: Arc<dyn Clock>,
}

impl NodeDrain {
    /// Drains through these parts.
    pub fn new(store: Arc<dyn StateStore>, mirror: Mirror, clock: Arc<dyn Clock>) -> Self {
        Self { store, mirror, clock }
    }

    /// Writes what is said of the node, unless it is said already.
    async fn set_draining(&self, operation: &Operation, draining: bool) -> Result<(), StepError> {
        let node = node_of(operation)?;
        let state = self.mirror.state();
        let Some(name) = state.nodes.get(&node).map(|known| known.name.clone()) else {
            return if draining { Err(gone(operation)) } else { Ok(()) };
        };
        let known = state.node_policies.get(&node);
        let old = known.map(|record| NodePolicy::clone(record)).unwrap_or_default();
        if old.draining == draining {
            return Ok(());
        }
        let now = self.clock.now();
        let event = draining_event(&node, &name, draining, now);
        let new = NodePolicy { draining, updated_at: Some(now), ..old };
        let at = keys::node_policy(&node);
        let txn = Txn {
            request: None,
            guards: vec![unchanged(at.clone(), known.map(|record| record.revision))?],
            ops: vec![
                put(at, &new)?,
                put(keys::event(&operation.org, now, rand::random::<u32>().into()), &event)?,
            ],
        };
        match self.store.txn(txn).await.map_err(Error::from)? {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                Ok(())
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(StepError::temporary(format!("node {name} is being changed by others")))
            }
        }
    }

    /// Returns when the node holds nothing that runs.
    async fn emptied(&self, operation: &Operation) -> Result<(), StepError> {
        let node = node_of(operation)?;
        let deadline = operation.parameters.get("deadline").and_then(Value::as_str);
        let deadline = deadline.and_then(|text| text.parse::<Timestamp>().ok());
        let mut states = self.mirror.subscribe();
        let wait = async {
            loop {
                let state = states.borrow_and_update().clone();
                if !state.nodes.contains_key(&node) {
                    return Err(gone(operation));
                }
                if !state.node_policies.get(&node).is_some_and(|policy| policy.draining) {
                    return Err(StepError::lasting("someone let new instances come to the node again"));
                }
                if left_on(&state, &node).is_empty() {
                    return Ok(());
                }
                if states.changed().await.is_err() {
                    return Err(StepError::temporary("the control plane is stopping"));
                }
            }
        };
        let Some(deadline) = deadline else { return wait.await };
        let patience = deadline.duration_since(self.clock.now());
        match tokio::time::timeout(patience.try_into().unwrap_or_default(), wait).await {
            Ok(ended) => ended,
            Err(_) => Err(StepError::lasting(format!(
                "the deadline passed while these were left: {}",
                named(&left_on(&self.mirror.state(), &node))
            ))),
        }
    }
}

#[async_trait]
impl OperationKind for NodeDrain {
    fn name(&self) -> &'static str {
        KIND
    }

    async fn perform(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        match step {
            0 => self.set_draining(operation, true).await,
            _ => self.emptied(operation).await,
        }
    }

    async fn verify(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        let node = node_of(operation)?;
        let state = self.mirror.state();
        match step {
            0 if state.node_policies.get(&node).is_some_and(|policy| policy.draining) => Ok(()),
            0 => Err(StepError::temporary("the node still takes new instances")),
            _ => match left_on(&state, &node).as_slice() {
                [] => Ok(()),
                left => Err(StepError::temporary(format!("these are left: {}", named(left)))),
            },
        }
    }

    async fn undo(&self, operation: &Operation, step: usize) -> Result<(), StepError> {
        // What has moved stays where it is; only the door is opened again.
        if step == 0 { self.set_draining(operation, false).await } else { Ok(()) }
    }
}

fn node_of(operation: &Operation) -> Result<NodeId, StepError> {
    let id = operation.parameters.get("node").and_then(Value::as_str);
    id.and_then(|id| id.parse().ok())
        .ok_or_else(|| StepError::lasting("the operation does not name its node; begin a new one"))
}

fn gone(operation: &Operation) -> StepError {
    StepError::lasting(format!("node {} was removed", operation.subject))
}

/// Instances that are not at their end, as `workload/instance`.
fn left_on(state: &State, node: &NodeId) -> Vec<String> {
    let live = state.assignments_on(node).filter(|assignment| !assignment.lost);
    live.filter(|assignment| {
        state.instance(&assignment.id).is_some_and(|instance| !instance.phase().is_terminal())
    })
    .map(|assignment| format!("{}/{}", assignment.workload, assignment.id))
    .collect()
}

fn named(left: &[String]) -> String {
    let shown = left.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match left.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn draining_event(node: &NodeId, name: &Name, draining: bool, at: Timestamp) -> Event {
    let (kind, message) = if draining {
        (EventKind::NodeCordoned, format!("node {name} is being drained"))
    } else {
        (EventKind::NodeUncordoned, format!("node {name} is no longer drained"))
    };
    Event {
        at,
        kind,
        severity: Severity::Info,
        workload: None,
        instance: None,
        node: Some(node.clone()),
        message,
    }
}
