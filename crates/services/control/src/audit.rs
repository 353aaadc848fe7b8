//! The audit log: one entry for every write, in the same transaction where there is one.

use serde::{Deserialize, Serialize};
use univrs_authz::{Action, Owner};
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::event::Event;
use univrs_model::ids::RequestId;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_ports::store::{Op, Txn, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write};
use crate::record::put;

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub caller: Caller,
    /// What, such as `workload_write`.
    pub action: String,
    /// On what, such as `workload/web`.
    pub object: String,
    /// The rule of the policy that allowed it.
    pub allowed_by: String,
    /// What changed, in a sentence.
    pub summary: String,
    /// How it went.
    #[serde(default)]
    pub result: AuditResult,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request it came in, as the reply's `X-Request-Id` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

/// How a write went. What is refused, or fails before it had any effect on the state, leaves no entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditResult {
    /// It was done.
    #[default]
    Done,
    /// It was begun outside the state, such as at a registry, and failed there.
    Failed,
}

/// An audit entry as people see it, with its place in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditView {
    /// Revision of the write.
    pub revision: u64,
    /// What was done.
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// The entry of a write that was allowed.
fn entry(caller: &Caller, action: Action, object: String, allowed_by: String, at: Timestamp) -> AuditEntry {
    AuditEntry {
        at,
        // The request is said once.
        caller: Caller { request: None, ..caller.clone() },
        action: action.to_string(),
        object,
        allowed_by,
        summary: String::new(),
        result: AuditResult::Done,
        reason: None,
        request: caller.request.clone(),
    }
}

impl Control {
    /// Commits a write with its event and its audit entry as one transaction. Both go to the logs of whom the
    /// action's objects belong to.
    pub(crate) async fn commit(&self, write: Write) -> Result<TxnOutcome, Error> {
        let owner = owner(write.action, &write.caller);
        self.commit_for(owner.as_ref(), write).await
    }

    /// As [`Control::commit`], for an object of this organisation; of the cluster without one.
    ///
    /// In planning mode nothing is committed; see [`Control::planning`].
    #[tracing::instrument(name = "commit", skip_all, fields(action = %write.action, object = %write.object))]
    pub(crate) async fn commit_for(&self, owner: Option<&Name>, write: Write) -> Result<TxnOutcome, Error> {
        let charge = self.charge(&write).await?;
        if self.planning {
            return self.draft(owner, write).await;
        }
        let now = self.clock.now();
        let audit = AuditEntry {
            summary: write.summary,
            ..entry(&write.caller, write.action, write.object, write.allowed_by, now)
        };
        let mut txn = Txn { request: None, guards: write.guards, ops: write.ops };
        // After the write's own guards, whose places the write knows.
        txn.guards.extend(charge.guard);
        txn.ops.extend(charge.op);
        txn.ops.push(self.audit_op(owner, &audit)?);
        if let Some(event) = &write.event {
            txn.ops.push(self.event_op(owner, now, event)?);
        }
        let outcome = self.store.txn(txn).await?;
        tracing::debug!(?outcome, "answered by the store");
        Ok(outcome)
    }

    /// Does work whose effect is outside the state, such as bringing an image, and records how it went.
    ///
    /// # Errors
    /// When the caller may not, and then nothing is done; or when the work was done and the entry cannot be written.
    /// The inner result is the work's own.
    pub async fn audited<T, E: std::fmt::Display>(
        &self,
        caller: &Caller,
        action: Action,
        object: &str,
        summary: String,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<Result<T, E>, Error> {
        let allowed_by = self.allow(caller, action, object)?;
        if self.planning {
            return Err(Error::Conflict {
                what: format!("{action} on {object} cannot be planned"),
                reason: "it has its effect outside the state".to_owned(),
                hint: Some("leave out `dry_run` to do it".to_owned()),
            });
        }
        let outcome = work.await;
        let (result, reason) = match &outcome {
            Ok(_) => (AuditResult::Done, None),
            Err(error) => (AuditResult::Failed, Some(error.to_string())),
        };
        let entry = entry(caller, action, object.to_owned(), allowed_by, self.clock.now());
        let audit = AuditEntry { summary, result, reason, ..entry };
        let write = async {
            let ops = vec![self.audit_op(owner(action, caller).as_ref(), &audit)?];
            Ok::<_, Error>(self.store.txn(Txn { request: None, guards: Vec::new(), ops }).await?)
        };
        match (write.await, outcome) {
            (Err(error), Ok(_)) => Err(error),
            // The work's own failure says more than one of the log.
            (_, outcome) => Ok(outcome),
        }
    }

    fn audit_op(&self, owner: Option<&Name>, entry: &AuditEntry) -> Result<Op, Error> {
        let number = self.next_serial();
        let at = match owner {
            Some(org) => keys::audit(org, entry.at, number),
            None => keys::cluster_audit(entry.at, number),
        };
        put(at, entry)
    }

    fn event_op(&self, owner: Option<&Name>, now: Timestamp, event: &Event) -> Result<Op, Error> {
        let number = self.next_serial();
        let at = match owner {
            Some(org) => keys::event(org, now, number),
            None => keys::cluster_event(now, number),
        };
        put(at, event)
    }
}

/// Whose the objects of an action are, when it is asked in the caller's organisation; none means the cluster's.
pub(crate) fn owner(action: Action, caller: &Caller) -> Option<Name> {
    match action.owner() {
        Owner::Cluster => None,
        Owner::Organisation => Some(caller.org.clone()),
    }
}
