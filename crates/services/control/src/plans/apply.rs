//! Carrying out a plan, once.

use univrs_authz::Action;
use univrs_model::caller::{Caller, Principal};
use univrs_model::keys;
use univrs_model::token::Approval;
use univrs_ports::store::TxnOutcome;

use crate::error::Error;
use crate::handle::{Control, Write};
use crate::plans::record::{PlannedOp, PlannedWrite};
use crate::plans::{Plan, PlanRefusal, PlanStatus};
use crate::record::{put, unchanged};

impl Control {
    /// Carries out a plan: exactly what was shown, once, if nothing that it writes has changed since.
    ///
    /// # Errors
    /// [`Error::PlanRefused`] when it belongs to someone else, is over, was used, is not approved, has another digest
    /// or was made against an older state; [`Error::Denied`] when the caller may not do what it does (any more).
    pub async fn apply_plan(&self, caller: &Caller, wanted: &str, digest: &str) -> Result<Plan, Error> {
        self.apply(caller, wanted, digest, false).await
    }

    /// As [`Control::apply_plan`], of a plan that a person in front of the caller's own client has agreed to. It counts
    /// only for a token that was made so ([`Approval::Elicitation`]); for others the plan still waits.
    ///
    /// # Errors
    /// As [`Control::apply_plan`].
    pub async fn apply_agreed_plan(
        &self,
        caller: &Caller,
        wanted: &str,
        digest: &str,
    ) -> Result<Plan, Error> {
        self.apply(caller, wanted, digest, self.approval_of(caller) == Approval::Elicitation).await
    }

    /// Who may agree to the caller's plans.
    pub fn approval_of(&self, caller: &Caller) -> Approval {
        match &caller.principal {
            Principal::Token { id, .. } => {
                self.mirror.state().tokens.get(id).map_or(Approval::Person, |token| token.approval)
            }
            _ => Approval::Person,
        }
    }

    async fn apply(&self, caller: &Caller, wanted: &str, digest: &str, agreed: bool) -> Result<Plan, Error> {
        let known = self.find_plan(caller, wanted).await?;
        let plan = &known.plan;
        let refuse = |refusal| Error::PlanRefused { plan: plan.plan_id.to_string(), refusal };
        if !plan.planned_by.as_ref().is_some_and(|planner| planner.is_same_as(&caller.principal)) {
            return Err(refuse(PlanRefusal::Foreign));
        }
        let action = Action::ALL.iter().copied().find(|action| action.as_str() == known.action);
        let Some(action) = action else {
            return Err(refuse(PlanRefusal::Status { status: PlanStatus::Expired }));
        };
        let owner = known.owner.as_ref();
        let allowed_by = self.allow_for(owner, caller, action, &known.object)?;
        if digest != plan.digest || known.digest(&caller.org) != plan.digest {
            return Err(refuse(PlanRefusal::OtherDigest));
        }
        let status = known.status(self.clock.now());
        let asked = agreed && status == PlanStatus::WaitingForApproval;
        match status {
            PlanStatus::Ready | PlanStatus::Approved => {}
            PlanStatus::WaitingForApproval if asked => {}
            PlanStatus::Expired => return Err(refuse(PlanRefusal::Expired { at: plan.expires_at })),
            PlanStatus::WaitingForApproval => {
                return Err(refuse(PlanRefusal::NeedsApproval { reasons: plan.approval_needed.clone() }));
            }
            status @ (PlanStatus::Empty
            | PlanStatus::ShowOnly
            | PlanStatus::Rejected
            | PlanStatus::Applied) => {
                return Err(refuse(PlanRefusal::Status { status }));
            }
        }
        // The record of the plan and what it writes change together, so it cannot be applied twice.
        let at = keys::plan(&caller.org, &plan.plan_id);
        let applied = PlannedWrite {
            plan: Plan {
                status: PlanStatus::Applied,
                decided_by: if asked { Some(caller.principal.clone()) } else { plan.decided_by.clone() },
                ..plan.clone()
            },
            ..PlannedWrite::clone(&known)
        };
        let mut guards = vec![unchanged(at.clone(), Some(known.revision))?];
        guards.extend(known.guards.iter().cloned());
        let mut ops = vec![put(at, &applied)?];
        ops.extend(known.ops.iter().cloned().map(PlannedOp::into_op));
        let now = self.clock.now();
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action,
            object: known.object.clone(),
            summary: summary(plan, asked),
            guards,
            ops,
            event: known.event.clone().map(|event| univrs_model::event::Event { at: now, ..event }),
        };
        let outcome = self.commit_for(owner, write).await?;
        match outcome {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                Ok(Plan { applied_revision: Some(revision.0), ..applied.plan })
            }
            TxnOutcome::GuardFailed { index: 0, .. } => {
                Err(refuse(PlanRefusal::Status { status: PlanStatus::Applied }))
            }
            // Another write of the same token was counted meanwhile.
            TxnOutcome::GuardFailed { key: Some(key), .. } if key.as_str().starts_with(keys::TOKEN_USES) => {
                Err(Error::Contended { kind: "plan", name: plan.plan_id.to_string() })
            }
            TxnOutcome::GuardFailed { key, .. } => {
                let what = key.map(|key| named(key.as_str())).unwrap_or_else(|| known.object.clone());
                Err(refuse(PlanRefusal::Moved { what }))
            }
        }
    }
}

/// What the audit log says: the change, the plan that showed it, and who approved it.
fn summary(plan: &Plan, asked: bool) -> String {
    let approved = match &plan.decided_by {
        _ if asked => ", approved by the person whom its client asked".to_owned(),
        Some(who) => format!(", approved by {}", super::decide::words(who)),
        None => String::new(),
    };
    format!("{} (plan {}, {}{approved})", plan.summary, plan.plan_id, plan.digest)
}

/// The object under a key, such as `workload/web`.
fn named(key: &str) -> String {
    keys::split(key).map_or_else(|| key.to_owned(), |(_, kind, name)| format!("{kind}/{name}"))
}
