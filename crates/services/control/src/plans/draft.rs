//! From a write that is about to be committed to the plan that stands for it.

use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::ids::PlanId;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::operation::Operation;
use univrs_model::resource::{Deployment, Resource};
use univrs_ports::store::{Consistency, Guard, Key, Op, Revision, StoredValue, Txn, TxnOutcome};
use univrs_watch::price::{Quote, quote};

use crate::audit::owner;
use crate::error::Error;
use crate::handle::{Control, Write};
use crate::plans::effect::{Effect, changes_of};
use crate::plans::record::{self, PlannedOp, PlannedWrite};
use crate::plans::{Change, ChangeAction, LIFETIME, Plan, PlanStatus};
use crate::record::{put, unchanged};
use crate::resources::tier_of;

/// How many plans of an organisation may wait at once.
const WAITING: usize = 300;

impl Control {
    /// What a write in planning mode came to.
    ///
    /// # Errors
    /// As the write itself.
    pub fn planned<T>(&self, caller: &Caller, outcome: Result<T, Error>) -> Result<Plan, Error> {
        match outcome {
            Err(Error::Planned(plan)) => Ok(*plan),
            Err(error) => Err(error),
            // The write found everything as it should be.
            Ok(_) => {
                let nothing =
                    Write { summary: "nothing would change".to_owned(), ..Write::nothing(caller.clone()) };
                let mut planned = self.planned_write(&nothing, Vec::new(), Vec::new());
                planned.plan.digest = planned.digest(&caller.org);
                Ok(planned.plan)
            }
        }
    }

    /// The plan of a write that has its effect outside the state, such as at a registry, to look at: it is not kept, and
    /// only the write itself can carry it out.
    ///
    /// # Errors
    /// When the caller may not do the write.
    pub fn show(
        &self,
        caller: &Caller,
        action: Action,
        object: &str,
        summary: String,
        changes: Vec<Change>,
    ) -> Result<Plan, Error> {
        let allowed_by = self.allow(caller, action, object)?;
        let write = Write {
            allowed_by,
            action,
            object: object.to_owned(),
            summary,
            ..Write::nothing(caller.clone())
        };
        let mut planned = self.planned_write(&write, Vec::new(), Vec::new());
        planned.owner = owner(action, caller);
        planned.plan.changes = changes;
        planned.plan.status = PlanStatus::ShowOnly;
        planned.plan.digest = planned.digest(&caller.org);
        Ok(planned.plan)
    }

    /// Keeps a write as a plan. Guards that do not hold are answered as a commit would answer them.
    /// `owner` is whose the objects are; the cluster's when absent.
    pub(crate) async fn draft(&self, owner: Option<&Name>, write: Write) -> Result<TxnOutcome, Error> {
        for (index, guard) in write.guards.iter().enumerate() {
            if let Some(failed) = self.broken(index, guard).await? {
                return Ok(failed);
            }
        }
        let org = write.caller.org.clone();
        let now = self.clock.now();
        let (kept, _) = record::all(&self.store, &org).await?;
        let open = kept.iter().filter(|planned| {
            matches!(
                planned.status(now),
                PlanStatus::Ready | PlanStatus::WaitingForApproval | PlanStatus::Approved
            )
        });
        if open.count() >= WAITING {
            return Err(Error::Conflict {
                what: format!("{} on {} cannot be planned", write.action, write.object),
                reason: format!("{WAITING} plans of organisation {org} wait to be applied"),
                hint: Some("apply or reject some, or wait: a plan lasts 10 minutes".to_owned()),
            });
        }
        let state = self.mirror.state();
        let mut effects = Vec::new();
        let mut ops = Vec::new();
        for op in &write.ops {
            let before = match op {
                Op::Put { key, .. } | Op::Delete(key) => self.store.get(key, Consistency::LOCAL).await?,
                Op::DeletePrefix(_) => None,
            };
            effects.push(changes_of(&state, op, before.as_ref()));
            ops.push(PlannedOp::of(op)?);
        }
        let mut planned = self.planned_write(&write, effects, ops);
        planned.owner = owner.cloned();
        planned.plan.price = self.price_of(&write);
        planned.plan.digest = planned.digest(&org);
        if makes_a_token(&planned.plan) {
            planned.plan.status = PlanStatus::ShowOnly;
            return Err(Error::Planned(Box::new(planned.plan)));
        }
        let at = keys::plan(&org, &planned.plan.plan_id);
        let guards = vec![unchanged(at.clone(), None)?];
        // New plans clear away old ones, so their number is bounded without anyone looking after it.
        let mut ops = record::removals(&kept, &org, now)?;
        ops.push(put(at, &planned)?);
        self.store.txn(Txn { request: None, guards, ops }).await?;
        Err(Error::Planned(Box::new(planned.plan)))
    }

    /// What the resource costs that a write makes or gives another size.
    fn price_of(&self, write: &Write) -> Option<Quote> {
        let state = self.mirror.state();
        let limits = write.ops.iter().find_map(|op| {
            let Op::Put { key, value, .. } = op else { return None };
            match keys::split(key.as_str())?.1 {
                "resource" if write.guards.contains(&Guard::Absent(key.clone())) => {
                    let made: Resource = serde_json::from_slice(value).ok()?;
                    Some(made.deployment.footprint.limits)
                }
                "operation" => {
                    let begun: Operation = serde_json::from_slice(value).ok()?;
                    let after = begun.parameters.get("after")?.get("deployment")?;
                    let after: Deployment = serde_json::from_value(after.clone()).ok()?;
                    Some(after.footprint.limits)
                }
                _ => None,
            }
        })?;
        let tiers = &self.resources.tiers;
        let (id, tier) = tier_of(&state, tiers, &write.caller.org)?;
        Some(quote(id, tier, &tiers.currency, &limits))
    }

    fn planned_write(&self, write: &Write, effects: Vec<Effect>, ops: Vec<PlannedOp>) -> PlannedWrite {
        let now = self.clock.now();
        let mut whole = Effect::default();
        for effect in effects {
            whole.add(effect);
        }
        let status = match (ops.is_empty(), whole.destroys.is_empty()) {
            (true, _) => PlanStatus::Empty,
            (false, true) => PlanStatus::Ready,
            (false, false) => PlanStatus::WaitingForApproval,
        };
        let plan = Plan {
            plan_id: PlanId::from_bits(rand::random()),
            digest: String::new(),
            parent_revision: self.mirror.state().revision.0,
            expires_at: now.saturating_add(LIFETIME).unwrap_or(now),
            changes: whole.changes,
            blast_radius: whole.blast_radius,
            price: None,
            summary: write.summary.clone(),
            status,
            approval_needed: whole.destroys,
            planned_by: Some(write.caller.principal.clone()),
            decided_by: None,
            applied_revision: None,
        };
        PlannedWrite {
            plan,
            owner: None,
            action: write.action.to_string(),
            object: write.object.clone(),
            guards: write.guards.clone(),
            ops,
            event: write.event.clone(),
        }
    }

    /// The answer of a commit whose guard does not hold; nothing when it does.
    async fn broken(&self, index: usize, guard: &Guard) -> Result<Option<TxnOutcome>, Error> {
        let found = async |key: &Key| self.store.get(key, Consistency::Linearizable).await;
        let (key, held, now): (&Key, bool, Option<StoredValue>) = match guard {
            Guard::ModRevision(key, revision) => {
                let now = found(key).await?;
                (key, now.as_ref().is_some_and(|now| now.mod_revision == *revision), now)
            }
            Guard::Absent(key) => {
                let now = found(key).await?;
                (key, now.is_none(), now)
            }
            Guard::Exists(key) => {
                let now = found(key).await?;
                (key, now.is_some(), now)
            }
            // Only the store knows; it is asked when the plan is applied.
            Guard::LeaseAlive(_) => return Ok(None),
        };
        let actual_mod_revision: Option<Revision> = now.map(|now| now.mod_revision);
        let failed = || TxnOutcome::GuardFailed { index, key: Some(key.clone()), actual_mod_revision };
        Ok((!held).then(failed))
    }
}

/// Whether a plan makes a token. Its text is answered once, by the write that makes it, so a plan of it is no use.
fn makes_a_token(plan: &Plan) -> bool {
    plan.changes.iter().any(|change| change.kind == "token" && change.action == ChangeAction::Create)
}
