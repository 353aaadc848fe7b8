//! What faces do with operations.

use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::ids::{OperationId, matches_prefix};
use univrs_model::keys;
use univrs_model::operation::{Operation, OperationStatus, OperationView, StepStatus};
use univrs_model::span::Span;
use univrs_ports::store::{Revision, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write};
use crate::nodes::find_node;
use crate::operations::drain;
use crate::record::{Record, put, unchanged};
use crate::state::State;

/// How often a read-modify-write is tried against others.
const ATTEMPTS: usize = 8;

impl Control {
    /// The operations of the caller's organisation, newest first.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_operations(&self, caller: &Caller) -> Result<(Vec<OperationView>, Revision), Error> {
        self.allow(caller, Action::OperationRead, "operation")?;
        let state = self.mirror.state();
        let own = state.operations.values().filter(|record| record.org == caller.org);
        let mut views: Vec<OperationView> = own.map(view).collect();
        views.sort_by(|a, b| {
            b.operation
                .created_at
                .cmp(&a.operation.created_at)
                .then_with(|| a.operation.id.cmp(&b.operation.id))
        });
        Ok((views, state.revision))
    }

    /// One operation, by id or unique prefix of it.
    ///
    /// # Errors
    /// When it does not exist or the caller may not read it.
    pub fn get_operation(&self, caller: &Caller, wanted: &str) -> Result<OperationView, Error> {
        self.allow(caller, Action::OperationRead, &format!("operation/{wanted}"))?;
        Ok(view(&find(&self.mirror.state(), caller, wanted)?))
    }

    /// Asks an operation to stop and take back what it did.
    ///
    /// # Errors
    /// When it does not exist, has ended, or the caller may not.
    pub async fn cancel_operation(&self, caller: &Caller, wanted: &str) -> Result<OperationView, Error> {
        let object = format!("operation/{wanted}");
        let allowed_by = self.allow(caller, Action::OperationWrite, &object)?;
        for _ in 0..ATTEMPTS {
            let state = self.mirror.state();
            let known = find(&state, caller, wanted)?;
            if known.cancel_requested {
                return Ok(view(&known));
            }
            if known.status != OperationStatus::Running {
                return Err(Error::Conflict {
                    what: format!("operation `{}` cannot be stopped", known.id),
                    reason: format!("it ended {:?}", known.status).to_lowercase(),
                    hint: None,
                });
            }
            let changed = univrs_saga::apply(
                Operation::clone(&known.value),
                univrs_saga::SagaEvent::CancelRequested,
                self.clock.now(),
            );
            let at = keys::operation(&known.org, &known.id);
            let outcome = self
                .commit(Write {
                    caller: caller.clone(),
                    allowed_by: allowed_by.clone(),
                    action: Action::OperationWrite,
                    object: format!("operation/{}", known.id),
                    summary: format!("asked {} of {} to stop", known.kind, known.subject),
                    guards: vec![unchanged(at.clone(), Some(known.revision))?],
                    ops: vec![put(at, &changed)?],
                    event: None,
                })
                .await?;
            match outcome {
                TxnOutcome::Committed { revision } => {
                    self.mirror.at_least(revision).await;
                    return Ok(OperationView { revision: revision.0, ..shown(&changed) });
                }
                // It moved on meanwhile; look again.
                TxnOutcome::GuardFailed { actual_mod_revision, .. } => {
                    if let Some(revision) = actual_mod_revision {
                        self.mirror.at_least(revision).await;
                    }
                }
            }
        }
        Err(Error::Contended { kind: "operation", name: wanted.to_owned() })
    }

    /// Begins to move everything away from a node; a drain that is under way is answered again.
    ///
    /// # Errors
    /// When the node does not exist or the caller may not.
    pub async fn drain_node(
        &self,
        caller: &Caller,
        wanted: &str,
        deadline: Option<Span>,
    ) -> Result<OperationView, Error> {
        let allowed_by = self.allow(caller, Action::NodeWrite, &format!("node/{wanted}"))?;
        let state = self.mirror.state();
        let node = find_node(&state, wanted)?;
        let under_way = |record: &&Record<Operation>| {
            record.status == OperationStatus::Running
                && record.kind == drain::KIND
                && record.parameters.get("node").and_then(|id| id.as_str()) == Some(node.id.as_str())
        };
        if let Some(known) = state.operations.values().find(under_way) {
            return Ok(view(known));
        }
        let now = self.clock.now();
        let deadline = deadline.and_then(|span| now.checked_add(span.duration()).ok());
        let operation = drain::operation(caller, &node, deadline, now);
        let object = format!("node/{}", node.name);
        let summary = format!("began to drain node {}", node.name);
        self.begin_on_nodes(caller, allowed_by, object, summary, &operation).await
    }
}

/// An operation as people see it.
pub fn view(record: &Record<Operation>) -> OperationView {
    OperationView { revision: record.revision.0, ..shown(record) }
}

pub(super) fn shown(operation: &Operation) -> OperationView {
    let begun = |step: &&univrs_model::operation::Step| step.status != StepStatus::Waiting;
    let stage = match operation.status {
        OperationStatus::Succeeded => Some("complete".to_owned()),
        _ => operation.steps.iter().rfind(begun).map(|step| step.stage.clone()),
    };
    OperationView {
        revision: 0,
        stage: stage.unwrap_or_else(|| "waiting".to_owned()),
        progress: univrs_saga::progress(operation),
        operation: operation.clone(),
    }
}

fn find(state: &State, caller: &Caller, wanted: &str) -> Result<Record<Operation>, Error> {
    if let Some(record) = wanted.parse::<OperationId>().ok().and_then(|id| state.operations.get(&id))
        && record.org == caller.org
    {
        return Ok(record.clone());
    }
    let own = state.operations.values().filter(|record| record.org == caller.org);
    let found: Vec<_> = own.filter(|record| matches_prefix(record.id.as_str(), wanted)).collect();
    match found.as_slice() {
        [record] => Ok((*record).clone()),
        [] => Err(Error::NotFound { kind: "operation", name: wanted.to_owned(), near: None }),
        several => Err(Error::Ambiguous {
            kind: "operation",
            name: wanted.to_owned(),
            candidates: several.iter().map(|record| record.id.to_string()).collect::<Vec<_>>().join(", "),
        }),
    }
}
