//! Writing down a long change that nobody has begun yet.

use serde_json::{Map, Value};
use univrs_authz::Action;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::ids::OperationId;
use univrs_model::keys;
use univrs_model::operation::{Operation, OperationStatus, OperationView, Step, StepStatus};
use univrs_ports::store::TxnOutcome;

use crate::error::Error;
use crate::handle::{Control, Write};
use crate::operations::faces::shown;
use crate::record::{put, unchanged};

/// A step that waits for its turn.
pub(crate) fn waiting(name: impl Into<String>, stage: impl Into<String>, progress: u8) -> Step {
    Step {
        name: name.into(),
        stage: stage.into(),
        progress,
        status: StepStatus::Waiting,
        attempts: 0,
        error: None,
    }
}

/// An operation of the caller's organisation on `subject`, of which no step has begun.
pub(crate) fn operation(
    caller: &Caller,
    kind: &str,
    subject: impl Into<String>,
    parameters: Map<String, Value>,
    steps: Vec<Step>,
    now: Timestamp,
) -> Operation {
    Operation {
        id: OperationId::from_bits(rand::random()),
        org: caller.org.clone(),
        kind: kind.to_owned(),
        subject: subject.into(),
        status: OperationStatus::Running,
        parameters,
        steps,
        cancel_requested: false,
        error: None,
        created_at: now,
        updated_at: now,
    }
}

impl Control {
    /// The operation that an earlier request with the same key began, if there was one.
    ///
    /// # Errors
    /// When the key stood for another request, or what it began is forgotten.
    pub async fn operation_begun_before(&self, caller: &Caller) -> Result<Option<OperationView>, Error> {
        match self.remembered(&caller.org, self.conditions.idempotency.as_ref()).await? {
            Some(id) => self.get_operation(caller, &id).map(Some),
            None => Ok(None),
        }
    }

    /// Commits an operation on nodes, which the runner takes up. `object` is what the audit log names.
    pub(super) async fn begin_on_nodes(
        &self,
        caller: &Caller,
        allowed_by: String,
        object: String,
        summary: String,
        operation: &Operation,
    ) -> Result<OperationView, Error> {
        let at = keys::operation(&operation.org, &operation.id);
        let mut guards = vec![unchanged(at.clone(), None)?];
        let mut ops = vec![put(at, operation)?];
        let idempotency = self.conditions.idempotency.as_ref();
        self.remember(&caller.org, idempotency, operation.id.as_str(), &mut guards, &mut ops)?;
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::NodeWrite,
            object,
            summary,
            guards,
            ops,
            event: None,
        };
        match self.commit(write).await? {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                Ok(OperationView { revision: revision.0, ..shown(operation) })
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "operation", name: operation.id.to_string() })
            }
        }
    }
}
