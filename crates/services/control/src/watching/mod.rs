//! What is watched: usage taken into its log (`usage.rs`), what was sent out against what may be (`egress.rs`), alerts (`alerts.rs`) and their delivery (`deliveries.rs`),
//! and what faces ask of them (`faces.rs`).
//!
//! Loops act on the leader. Every step is guarded by the revisions it was decided from, so that a step that two leaders
//! take, or one takes twice, is taken once.

mod alerts;
mod deliveries;
mod egress;
mod faces;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use univrs_model::Timestamp;
use univrs_model::name::Name;
use univrs_ports::notify::Notifier;
use univrs_ports::store::{Guard, Op, Txn, TxnOutcome};
use univrs_watch::alerts::Pending;
use univrs_watch::price::Money;

use crate::error::Error;
use crate::handle::Control;

pub use faces::{UsagePage, UsagePeriod};

/// How often the state is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How many steps are committed together at most.
const TOGETHER: usize = 64;

/// Looks after usage and alerts.
pub struct Watching {
    control: Control,
    notifier: Arc<dyn Notifier>,
    look: Duration,
}

/// What the loop remembers from one look to the next; another leader begins without it.
#[derive(Default)]
struct Memory {
    pending: BTreeMap<Name, Pending>,
    /// What this month has cost organisations, and when that was computed.
    costs: BTreeMap<Name, (Timestamp, Money)>,
    /// What organisations have sent this month.
    egress: BTreeMap<Name, egress::Sent>,
    pruned: Option<Timestamp>,
}

/// One step: its conditions and its writes.
type Step = (Vec<Guard>, Vec<Op>);

impl Watching {
    /// Loops that read and write through `control` and tell people through `notifier`.
    pub fn new(control: Control, notifier: Arc<dyn Notifier>) -> Self {
        Self { control, notifier, look: LOOK }
    }

    /// The same, looking so often.
    #[must_use]
    pub fn every(self, look: Duration) -> Self {
        Self { look, ..self }
    }

    /// Runs until `shutdown`; acts while `leading`.
    pub async fn run(self, leading: watch::Receiver<bool>, shutdown: CancellationToken) {
        // What is slow to be delivered does not keep anything from being seen.
        let look = self.look(leading.clone());
        let deliver = self.deliver(leading);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = look => {}
            () = deliver => {}
        }
    }

    async fn look(&self, leading: watch::Receiver<bool>) {
        let mut due = tokio::time::interval(self.look);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut memory = Memory::default();
        loop {
            due.tick().await;
            if !*leading.borrow() {
                memory = Memory::default();
                continue;
            }
            if let Err(error) = self.look_once(&mut memory).await {
                tracing::warn!(%error, "usage and alerts are looked at again");
            }
        }
    }

    async fn look_once(&self, memory: &mut Memory) -> Result<(), Error> {
        self.take_measured().await?;
        self.take_allocations().await?;
        self.prune(memory).await?;
        self.egress(memory).await?;
        self.raise(memory).await
    }

    /// Commits steps, many at a time; one whose conditions do not hold any more is left out.
    async fn commit_steps(&self, steps: Vec<Step>) -> Result<(), Error> {
        for chunk in steps.chunks(TOGETHER) {
            let together = Txn {
                request: None,
                guards: chunk.iter().flat_map(|(guards, _)| guards.clone()).collect(),
                ops: chunk.iter().flat_map(|(_, ops)| ops.clone()).collect(),
            };
            match self.control.store.txn(together).await? {
                TxnOutcome::Committed { revision } => {
                    self.control.mirror.at_least(revision).await;
                }
                TxnOutcome::GuardFailed { .. } => {
                    for (guards, ops) in chunk {
                        let txn = Txn { request: None, guards: guards.clone(), ops: ops.clone() };
                        if let TxnOutcome::Committed { revision } = self.control.store.txn(txn).await? {
                            self.control.mirror.at_least(revision).await;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
