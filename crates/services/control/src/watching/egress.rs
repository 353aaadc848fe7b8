//! What an organisation's resources have sent out this month, against what they may: beyond that nothing of theirs leaves
//! the cluster until the month is over or more is allowed. Nodes drop it; here it is decided and said.

use jiff::SignedDuration;
use univrs_model::Timestamp;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::quantity::Bytes;
use univrs_model::resource::EgressSpent;
use univrs_model::usage::Meter;

use super::{Memory, Step, UsagePeriod, Watching};
use crate::error::Error;
use crate::handle::Control;
use crate::record::{delete, put, unchanged};
use crate::state::State;

/// How often a month is added up anew.
const ANEW: SignedDuration = SignedDuration::from_mins(1);
/// How many entries of the log are read at once.
const AT_ONCE: usize = 500;

impl Watching {
    /// Keeps what is spent in step with what was measured and what is allowed.
    pub(super) async fn egress(&self, memory: &mut Memory) -> Result<(), Error> {
        let state = self.control.mirror.state();
        let now = self.control.clock.now();
        let month = UsagePeriod::month_of(now);
        let mut steps: Vec<Step> = Vec::new();
        for org in state.orgs.keys() {
            let most = state.quotas.get(org).and_then(|quota| quota.egress);
            let known = state.egress_spent.get(org);
            let out = match most {
                None => Bytes::new(0),
                Some(_) => Bytes::new(self.sent(&state, memory, org, month, now).await?),
            };
            let spent = most.filter(|most| out >= *most);
            let at = keys::egress_spent(org);
            let (op, message) = match (spent, known) {
                (Some(most), None) => (
                    put(at.clone(), &EgressSpent { since: now, sent: out, most })?,
                    format!(
                        "{org} has sent {out} this month and may {most}: its resources reach nothing outside the cluster"
                    ),
                ),
                (None, Some(_)) => (
                    delete(at.clone())?,
                    format!("resources of {org} reach what is outside the cluster again"),
                ),
                _ => continue,
            };
            let event = Event {
                at: now,
                kind: EventKind::EgressSpent,
                severity: if spent.is_some() { Severity::Warning } else { Severity::Info },
                workload: None,
                instance: None,
                node: None,
                message,
            };
            let told = put(keys::event(org, now, self.control.next_serial()), &event)?;
            steps.push((vec![unchanged(at, known.map(|known| known.revision))?], vec![op, told]));
        }
        self.commit_steps(steps).await
    }

    /// What an organisation has sent within the month. Within it, it never becomes less: what nodes measured moves into the
    /// log between two times that this is added up.
    async fn sent(
        &self,
        state: &State,
        memory: &mut Memory,
        org: &Name,
        month: UsagePeriod,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let known = memory.egress.get(org).filter(|known| known.month == month.from).copied();
        let (at, logged) = match known.filter(|known| now.duration_since(known.at) < ANEW) {
            Some(known) => (known.at, known.logged),
            None => (now, self.control.sent_out(org, month).await?),
        };
        let open = state.measured.values().filter(|one| one.org == *org && one.window >= month.from);
        let sum = open.fold(logged, |sum, one| sum.saturating_add(one.network_out));
        let sum = sum.max(known.map_or(0, |known| known.sum));
        memory.egress.insert(org.clone(), Sent { month: month.from, at, logged, sum });
        Ok(sum)
    }
}

/// What an organisation has sent.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    /// When the month began.
    month: Timestamp,
    /// When the log was added up.
    at: Timestamp,
    /// What it came to.
    logged: u64,
    /// The most that it came to with what nodes still measured.
    sum: u64,
}

impl Control {
    /// Bytes that the log says an organisation's resources sent out within a period.
    async fn sent_out(&self, org: &Name, period: UsagePeriod) -> Result<u64, Error> {
        let (mut sum, mut cursor) = (0_u64, None);
        loop {
            let (entries, next) = self.entries(org, period, cursor, AT_ONCE).await?;
            for entry in entries {
                sum = sum.saturating_add(entry.amounts.get(&Meter::NetworkOut).copied().unwrap_or(0));
            }
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(sum),
            }
        }
    }
}
