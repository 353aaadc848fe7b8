//! What a token may do in all, whatever its grant: objects per write, removals per day.
//!
//! Removals are counted in the very transaction that removes, guarded by the count that was read, so no two writes take
//! the same part of a budget, on whichever node they come in. A plan is refused when it could not be carried out now;
//! only carrying it out takes from the budget.

use univrs_model::Timestamp;
use univrs_model::caller::Principal;
use univrs_model::ids::TokenId;
use univrs_model::keys;
use univrs_model::token::{Budget, TokenUse};
use univrs_ports::store::{Consistency, Guard, Op};

use crate::error::Error;
use crate::handle::{Control, Write};
use crate::plans::effect::{Effect, changes_of};
use crate::record::{Record, key, put, unchanged};

/// What goes into a transaction so that its budget is taken from; nothing for who has none.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    /// The count is still what was read.
    pub(crate) guard: Option<Guard>,
    /// The new count.
    pub(crate) op: Option<Op>,
}

impl Control {
    /// What a write takes of its caller's budget.
    ///
    /// # Errors
    /// [`Error::OverBudget`] when it is more than is left, with the numbers.
    pub(crate) async fn charge(&self, write: &Write) -> Result<Charge, Error> {
        let Principal::Token { id, .. } = &write.caller.principal else { return Ok(Charge::default()) };
        let state = self.mirror.state();
        let Some(budget) = state.tokens.get(id).map(|token| token.budget).filter(|budget| !budget.is_open())
        else {
            return Ok(Charge::default());
        };
        let mut whole = Effect::default();
        for op in &write.ops {
            let before = match op {
                Op::Put { key, .. } | Op::Delete(key) => self.store.get(key, Consistency::LOCAL).await?,
                Op::DeletePrefix(_) => None,
            };
            whole.add(changes_of(&state, op, before.as_ref()));
        }
        let at = keys::token_use(id);
        let stored = self.store.get(&key(at.clone())?, Consistency::Linearizable).await?;
        let known = stored.map(|stored| Record::<TokenUse>::decode(&at, &stored)).transpose()?;
        let now = self.clock.now();
        let used = spent(known.as_ref().map(|record| &*record.value), now);
        let Some(used) = allowed(id, &budget, &whole, used)? else { return Ok(Charge::default()) };
        let next = TokenUse { day: day(now), destroys: used };
        Ok(Charge {
            guard: Some(unchanged(at.clone(), known.map(|record| record.revision))?),
            op: Some(put(at, &next)?),
        })
    }
}

fn day(now: Timestamp) -> String {
    now.strftime("%Y-%m-%d").to_string()
}

/// Removals of today so far.
fn spent(known: Option<&TokenUse>, now: Timestamp) -> u32 {
    known.filter(|known| known.day == day(now)).map_or(0, |known| known.destroys)
}

/// Objects that a write touches: those it changes and instances. Operations and plans are how others change, and are
/// counted only where nothing else is.
fn touched(effect: &Effect) -> u32 {
    let of = |kinds: fn(&str) -> bool| effect.changes.iter().filter(|change| kinds(&change.kind)).count();
    let objects = of(|kind| !matches!(kind, "operation" | "plan" | "quota" | "token-use"));
    let objects = if objects == 0 { of(|kind| kind == "operation") } else { objects };
    let instances = effect.blast_radius.starts.saturating_add(effect.blast_radius.stops);
    u32::try_from(objects).unwrap_or(u32::MAX).saturating_add(instances)
}

/// The removals of today with this write, when they are bounded and it has some; nothing when there is nothing to count.
fn allowed(id: &TokenId, budget: &Budget, effect: &Effect, used: u32) -> Result<Option<u32>, Error> {
    let refuse = |reason| Err(Error::OverBudget { token: format!("token {id}"), reason });
    let objects = touched(effect);
    if let Some(most) = budget.objects_per_plan.filter(|most| objects > *most) {
        return refuse(format!(
            "it touches {objects} objects and instances, and at most {most} are allowed at once"
        ));
    }
    let destroys = u32::try_from(effect.destroys.len()).unwrap_or(u32::MAX);
    let Some(most) = budget.destroys_per_day.filter(|_| destroys > 0) else { return Ok(None) };
    let after = used.saturating_add(destroys);
    if after > most {
        return refuse(format!(
            "it {}; {used} of {most} removals of today are used",
            effect.destroys.join(" and ")
        ));
    }
    Ok(Some(after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use univrs_model::ids::TokenId;
    use univrs_model::token::{Budget, TokenUse};

    use super::{allowed, spent, touched};
    use crate::plans::effect::Effect;
    use crate::plans::{BlastRadius, Change, ChangeAction};

    fn effect(kinds: &[&str], instances: u32, destroys: usize) -> Effect {
        let change = |kind: &&str| Change {
            action: ChangeAction::Update,
            kind: (*kind).to_owned(),
            name: "x".to_owned(),
            before: serde_json::Value::Null,
            after: serde_json::Value::Null,
        };
        Effect {
            changes: kinds.iter().map(change).collect(),
            blast_radius: BlastRadius { starts: instances, stops: 0 },
            destroys: vec!["removes it".to_owned(); destroys],
        }
    }

    #[test]
    fn what_is_touched_is_objects_and_instances_but_not_what_carries_them_out() {
        for (kinds, instances, expected) in [
            (&["workload"][..], 3, 4),
            (&["resource", "operation", "quota"], 0, 1),
            (&["operation"], 2, 3),
            (&["plan", "workload"], 0, 1),
            (&[], 0, 0),
        ] {
            assert_eq!(touched(&effect(kinds, instances, 0)), expected, "{kinds:?}");
        }
    }

    #[test]
    fn a_day_begins_anew() {
        let known = TokenUse { day: "2026-01-01".to_owned(), destroys: 7 };
        for (now, expected) in [("2026-01-01T23:59:59Z", 7), ("2026-01-02T00:00:00Z", 0)] {
            assert_eq!(spent(Some(&known), now.parse().unwrap()), expected);
        }
        assert_eq!(spent(None, "2026-01-01T00:00:00Z".parse().unwrap()), 0);
    }

    proptest! {
        /// Whatever comes, no more is removed in a day than is allowed, and nothing that fits is refused.
        #[test]
        fn a_budget_is_never_exceeded(most in 0_u32..20, wanted in prop::collection::vec(0_usize..4, 0..40)) {
            let budget = Budget { destroys_per_day: Some(most), ..Budget::default() };
            let mut used = 0;
            for destroys in wanted {
                let asked = u32::try_from(destroys).unwrap();
                match allowed(&TokenId::from_bits(1), &budget, &effect(&["workload"], 0, destroys), used) {
                    Ok(after) => used = after.unwrap_or(used),
                    Err(_) => prop_assert!(used + asked > most),
                }
                prop_assert!(used <= most);
            }
        }
    }
}
