//! A plan as it lies in the store: the description that people see and the transaction that it stands for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use univrs_model::Timestamp;
use univrs_model::event::Event;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_ports::store::{Consistency, Guard, Key, Op, Page, Prefix, StateStore};

use crate::error::Error;
use crate::plans::{Plan, PlanStatus};
use crate::record::{Record, key};

/// How long a plan is kept after its time, so that whoever asks learns what became of it.
const KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// How many old plans go with one new one.
const MOST_REMOVALS: usize = 100;

/// A planned write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedWrite {
    /// What people see.
    pub(crate) plan: Plan,
    /// The organisation that the objects belong to; the cluster when absent.
    #[serde(default)]
    pub(crate) owner: Option<Name>,
    /// The permission that applying it needs.
    pub(crate) action: String,
    /// The object that the permission is asked for.
    pub(crate) object: String,
    /// What must still hold.
    pub(crate) guards: Vec<Guard>,
    /// What would be written.
    pub(crate) ops: Vec<PlannedOp>,
    /// What the event log would say.
    pub(crate) event: Option<Event>,
}

/// One operation of a planned transaction. Stored objects are JSON, so they are kept as such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlannedOp {
    /// Sets an object.
    Put { key: Key, value: Value },
    /// Removes an object.
    Delete { key: Key },
    /// Removes every object below.
    DeletePrefix { prefix: Prefix },
}

impl PlannedOp {
    /// # Errors
    /// [`Error::Unreadable`] for a value that is not JSON: no object of ours is.
    pub(crate) fn of(op: &Op) -> Result<Self, Error> {
        Ok(match op {
            Op::Put { key, value, .. } => {
                let value = serde_json::from_slice(value)
                    .map_err(|source| Error::Unreadable { key: key.to_string(), source })?;
                Self::Put { key: key.clone(), value }
            }
            Op::Delete(key) => Self::Delete { key: key.clone() },
            Op::DeletePrefix(prefix) => Self::DeletePrefix { prefix: prefix.clone() },
        })
    }

    pub(crate) fn into_op(self) -> Op {
        match self {
            Self::Put { key, value } => Op::Put { key, value: value.to_string().into(), lease: None },
            Self::Delete { key } => Op::Delete(key),
            Self::DeletePrefix { prefix } => Op::DeletePrefix(prefix),
        }
    }
}

impl PlannedWrite {
    /// The digest of all that must not change between looking at the plan and applying it.
    pub(crate) fn digest(&self, org: &Name) -> String {
        let plan = &self.plan;
        let canonical = serde_json::json!({
            "plan_id": plan.plan_id,
            "org": org,
            "planned_by": plan.planned_by,
            "expires_at": plan.expires_at,
            "parent_revision": plan.parent_revision,
            "changes": plan.changes,
            "price": plan.price,
            "owner": self.owner,
            "action": self.action,
            "object": self.object,
            "guards": self.guards,
            "ops": self.ops,
        });
        format!("sha256:{}", hex::encode(Sha256::digest(canonical.to_string().as_bytes())))
    }

    /// The plan as it stands at `now`.
    pub(crate) fn status(&self, now: Timestamp) -> PlanStatus {
        let open = matches!(
            self.plan.status,
            PlanStatus::Ready | PlanStatus::WaitingForApproval | PlanStatus::Approved
        );
        if open && self.plan.expires_at <= now { PlanStatus::Expired } else { self.plan.status }
    }
}

/// A plan as people see it at `now`.
pub(crate) fn shown(record: &Record<PlannedWrite>, now: Timestamp) -> Plan {
    let status = record.status(now);
    // Its record changed last in the very transaction that applied it.
    let applied_revision = (status == PlanStatus::Applied).then_some(record.revision.0);
    Plan { status, applied_revision, ..record.plan.clone() }
}

/// All kept plans of an organisation.
///
/// # Errors
/// When the store fails.
pub(crate) async fn all(
    store: &Arc<dyn StateStore>,
    org: &Name,
) -> Result<(Vec<Record<PlannedWrite>>, u64), Error> {
    let prefix = Prefix::new(keys::of_org(org, "plan"));
    let out = store.range(&prefix, Page::all(), Consistency::LOCAL).await?;
    let records = out.items.iter().map(|item| Record::decode(item.key.as_str(), &item.value));
    Ok((records.collect::<Result<_, _>>()?, out.revision.0))
}

/// The removal of plans whose time has long been over.
///
/// # Errors
/// As [`key`].
pub(crate) fn removals(plans: &[Record<PlannedWrite>], org: &Name, now: Timestamp) -> Result<Vec<Op>, Error> {
    let old = |record: &&Record<PlannedWrite>| {
        record.plan.expires_at.saturating_add(KEPT).is_ok_and(|end| end <= now)
    };
    let removal = |record: &Record<PlannedWrite>| Ok(Op::Delete(key(keys::plan(org, &record.plan.plan_id))?));
    plans.iter().filter(old).take(MOST_REMOVALS).map(removal).collect()
}
