//! Looking at plans, and the decision of a person about those that end instances or remove objects.

use univrs_authz::Action;
use univrs_model::caller::{Caller, Principal};
use univrs_model::ids::matches_prefix;
use univrs_model::keys;
use univrs_ports::store::TxnOutcome;

use crate::error::Error;
use crate::handle::{Control, Write};
use crate::plans::record::{self, PlannedWrite};
use crate::plans::{Plan, PlanRefusal, PlanStatus};
use crate::record::{Record, put, unchanged};

impl Control {
    /// The plans of the caller's organisation that were made of late, the newest first.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub async fn list_plans(&self, caller: &Caller) -> Result<(Vec<Plan>, u64), Error> {
        self.allow(caller, Action::OperationRead, "plan")?;
        let (records, revision) = record::all(&self.store, &caller.org).await?;
        let now = self.clock.now();
        let mut plans: Vec<Plan> = records.iter().map(|known| record::shown(known, now)).collect();
        plans.sort_by(|a, b| b.expires_at.cmp(&a.expires_at).then_with(|| a.plan_id.cmp(&b.plan_id)));
        Ok((plans, revision))
    }

    /// One plan, by id or unique prefix of it.
    ///
    /// # Errors
    /// When it does not exist or the caller may not read it.
    pub async fn get_plan(&self, caller: &Caller, wanted: &str) -> Result<Plan, Error> {
        self.allow(caller, Action::OperationRead, &format!("plan/{wanted}"))?;
        Ok(record::shown(&self.find_plan(caller, wanted).await?, self.clock.now()))
    }

    /// Lets a plan that waits for it be applied by whoever made it.
    ///
    /// # Errors
    /// When it does not wait, the caller may not, or made it with the same token.
    pub async fn approve_plan(&self, caller: &Caller, wanted: &str) -> Result<Plan, Error> {
        self.decide(caller, wanted, PlanStatus::Approved).await
    }

    /// Keeps a plan from being applied.
    ///
    /// # Errors
    /// As [`Control::approve_plan`].
    pub async fn reject_plan(&self, caller: &Caller, wanted: &str) -> Result<Plan, Error> {
        self.decide(caller, wanted, PlanStatus::Rejected).await
    }

    async fn decide(&self, caller: &Caller, wanted: &str, verdict: PlanStatus) -> Result<Plan, Error> {
        let allowed_by = self.allow(caller, Action::PlanApprove, &format!("plan/{wanted}"))?;
        let known = self.find_plan(caller, wanted).await?;
        let plan = record::shown(&known, self.clock.now());
        let refuse = |refusal| Error::PlanRefused { plan: plan.plan_id.to_string(), refusal };
        let by_token = matches!(caller.principal, Principal::Token { .. });
        let own = plan.planned_by.as_ref().is_some_and(|planner| planner.is_same_as(&caller.principal));
        if verdict == PlanStatus::Approved && by_token && own {
            return Err(refuse(PlanRefusal::OwnPlan));
        }
        match (plan.status, verdict) {
            (PlanStatus::WaitingForApproval, _)
            | (PlanStatus::Ready | PlanStatus::Approved, PlanStatus::Rejected) => {}
            (PlanStatus::Ready, _) => return Err(refuse(PlanRefusal::NoApprovalNeeded)),
            (PlanStatus::Expired, _) => return Err(refuse(PlanRefusal::Expired { at: plan.expires_at })),
            // Saying the same again changes nothing.
            (status, verdict) if status == verdict => return Ok(plan),
            (status, _) => return Err(refuse(PlanRefusal::Status { status })),
        }
        let decided = PlannedWrite {
            plan: Plan { status: verdict, decided_by: Some(caller.principal.clone()), ..known.plan.clone() },
            ..PlannedWrite::clone(&known)
        };
        let at = keys::plan(&caller.org, &plan.plan_id);
        let outcome = self
            .commit(Write {
                caller: caller.clone(),
                allowed_by,
                action: Action::PlanApprove,
                object: format!("plan/{}", plan.plan_id),
                summary: format!("{verdict} plan {} ({}, {})", plan.plan_id, plan.summary, plan.digest),
                guards: vec![unchanged(at.clone(), Some(known.revision))?],
                ops: vec![put(at, &decided)?],
                event: None,
            })
            .await?;
        match outcome {
            TxnOutcome::Committed { .. } => Ok(decided.plan),
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "plan", name: plan.plan_id.to_string() })
            }
        }
    }

    pub(super) async fn find_plan(
        &self,
        caller: &Caller,
        wanted: &str,
    ) -> Result<Record<PlannedWrite>, Error> {
        let (records, _) = record::all(&self.store, &caller.org).await?;
        let named: Vec<_> = records
            .into_iter()
            .filter(|record| matches_prefix(record.plan.plan_id.as_str(), wanted))
            .collect();
        match named.as_slice() {
            [plan] => Ok(plan.clone()),
            [] => Err(Error::NotFound { kind: "plan", name: wanted.to_owned(), near: None }),
            several => Err(Error::Ambiguous {
                kind: "plan",
                name: wanted.to_owned(),
                candidates: several
                    .iter()
                    .map(|record| record.plan.plan_id.to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }
}

/// Who it is, in a few words.
pub(super) fn words(principal: &Principal) -> String {
    match principal {
        Principal::LocalAdmin => "the local administrator".to_owned(),
        Principal::Assistant { .. } => "an AI operator".to_owned(),
        Principal::Token { id, .. } => format!("token {id}"),
        Principal::Control { r#loop } => format!("control loop {loop}", loop = r#loop),
        Principal::Node { id } => format!("node {id}"),
    }
}
