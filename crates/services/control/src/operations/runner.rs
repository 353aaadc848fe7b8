//! Carries out every running operation: asks the core what comes next, acts, and writes down what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use univrs_model::Timestamp;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::OperationId;
use univrs_model::keys;
use univrs_model::operation::{Operation, OperationStatus};
use univrs_ports::clock::Clock;
use univrs_ports::store::{Consistency, StateStore, Txn, TxnOutcome};
use univrs_saga::{Next, SagaEvent, apply, finish, next, resume};

use crate::error::Error;
use crate::mirror::{Inbox, Mirror};
use crate::operations::{OperationKind, StepError};
use crate::record::{Record, key, put, unchanged};

/// Everything is looked at this often even if nothing said that it changed.
const SWEEP: Duration = Duration::from_secs(30);
/// Pause before an operation is taken up again after the store failed.
const RETRY: Duration = Duration::from_millis(500);

/// The loop over all running operations.
pub struct OperationRunner {
    parts: Parts,
    inbox: Inbox,
    kinds: BTreeMap<&'static str, Arc<dyn OperationKind>>,
    /// Those under way here.
    taken: BTreeSet<OperationId>,
    leading: watch::Receiver<bool>,
}

#[derive(Clone)]
struct Parts {
    store: Arc<dyn StateStore>,
    mirror: Mirror,
    clock: Arc<dyn Clock>,
}

impl OperationRunner {
    /// A loop over these parts; `inbox` must be one of those the mirror fills.
    pub fn new(
        store: Arc<dyn StateStore>,
        mirror: Mirror,
        inbox: Inbox,
        clock: Arc<dyn Clock>,
        kinds: Vec<Arc<dyn OperationKind>>,
        leading: watch::Receiver<bool>,
    ) -> Self {
        let kinds = kinds.into_iter().map(|kind| (kind.name(), kind)).collect();
        Self { parts: Parts { store, mirror, clock }, inbox, kinds, taken: BTreeSet::new(), leading }
    }

    /// Runs until `shutdown`, and acts while this node leads; operations under way stay as they are and are taken up at the next start.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP);
        let mut under_way: JoinSet<OperationId> = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.inbox.wait() => if !self.inbox.take().operations {
                    continue;
                },
                _ = sweep.tick() => {}
                changed = self.leading.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if !*self.leading.borrow_and_update() {
                        // Whoever leads now takes them up where they are.
                        under_way.shutdown().await;
                        self.taken.clear();
                    }
                }
                Some(ended) = under_way.join_next() => match ended {
                    Ok(id) => drop(self.taken.remove(&id)),
                    Err(error) => tracing::error!(%error, "an operation's task ended badly; it is taken up again at the next start"),
                },
            }
            if *self.leading.borrow() {
                self.take_up(&mut under_way);
            }
        }
    }

    fn take_up(&mut self, under_way: &mut JoinSet<OperationId>) {
        let state = self.parts.mirror.state();
        let running = |record: &&Record<Operation>| record.status == OperationStatus::Running;
        for record in state.operations.values().filter(running) {
            if self.taken.contains(&record.id) {
                continue;
            }
            let Some(kind) = self.kinds.get(record.kind.as_str()) else {
                tracing::warn!(operation = %record.id, kind = record.kind, "this version does not know the kind; left for one that does");
                self.taken.insert(record.id.clone());
                continue;
            };
            self.taken.insert(record.id.clone());
            let (parts, kind, operation) =
                (self.parts.clone(), Arc::clone(kind), Operation::clone(&record.value));
            let span = tracing::info_span!(
                "operation",
                id = %record.id,
                kind = record.kind,
                subject = record.subject
            );
            let driving = async move {
                let id = operation.id.clone();
                parts.drive(kind, operation).await;
                id
            };
            under_way.spawn(driving.instrument(span));
        }
    }
}

impl Parts {
    /// Moves one operation until it has ended.
    async fn drive(&self, kind: Arc<dyn OperationKind>, operation: Operation) {
        let now = self.clock.now();
        let mut result = self.advance(&operation, |operation| resume(operation, now)).await;
        loop {
            match result {
                Ok(operation) if operation.status == OperationStatus::Running => {
                    result = self.step(&*kind, &operation).await;
                }
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot move an operation; trying again"
                    );
                    tokio::time::sleep(RETRY).await;
                    result = self.advance(&operation, |operation| operation).await;
                }
            }
        }
    }

    /// Does what comes next and answers the operation after it.
    async fn step(&self, kind: &dyn OperationKind, operation: &Operation) -> Result<Operation, Error> {
        match next(operation, self.clock.now()) {
            Next::Nothing => Ok(operation.clone()),
            Next::Finish(_) => {
                let now = self.clock.now();
                let ended = self.advance(operation, |operation| finish(operation, now)).await?;
                tracing::info!(status = ?ended.status, "ended");
                Ok(ended)
            }
            Next::Wait { until } => {
                self.wait(operation, until).await;
                self.advance(operation, |operation| operation).await
            }
            Next::Do { step } => {
                let operation = self.tell(operation, SagaEvent::Began { step }).await?;
                tokio::select! {
                    // Someone asked to stop: the core says what to take back.
                    () = self.cancelled(&operation) => self.advance(&operation, |operation| operation).await,
                    done = kind.perform(&operation, step) => match done {
                        Ok(()) => Ok(operation),
                        Err(error) => self.tell(&operation, failed(step, error)).await,
                    },
                }
            }
            Next::Verify { step } => {
                let event = match kind.verify(operation, step).await {
                    Ok(()) => SagaEvent::Done { step },
                    Err(error) => failed(step, error),
                };
                self.tell(operation, event).await
            }
            Next::Undo { step } => {
                let operation = self.tell(operation, SagaEvent::Began { step }).await?;
                let event = match kind.undo(&operation, step).await {
                    Ok(()) => SagaEvent::Undone { step },
                    Err(error) => SagaEvent::UndoFailed { step, error: error.error },
                };
                self.tell(&operation, event).await
            }
        }
    }

    async fn tell(&self, operation: &Operation, event: SagaEvent) -> Result<Operation, Error> {
        let now = self.clock.now();
        self.advance(operation, |operation| apply(operation, event.clone(), now)).await
    }

    /// Applies `change` to what the store has now, again until no one was faster. An operation that ends by it leaves
    /// its event in the same transaction, so there is one for every end.
    async fn advance(
        &self,
        operation: &Operation,
        change: impl Fn(Operation) -> Operation + Send,
    ) -> Result<Operation, Error> {
        let at = keys::operation(&operation.org, &operation.id);
        loop {
            let Some(stored) = self.store.get(&key(at.clone())?, Consistency::Linearizable).await? else {
                // It was removed: nothing is left to move.
                return Ok(Operation { status: OperationStatus::Cancelled, ..operation.clone() });
            };
            let known = Record::<Operation>::decode(&at, &stored)?;
            let changed = change(Operation::clone(&known.value));
            if changed == *known.value {
                return Ok(changed);
            }
            let guards = vec![unchanged(at.clone(), Some(known.revision))?];
            let mut ops = vec![put(at.clone(), &changed)?];
            if known.status == OperationStatus::Running && changed.status != OperationStatus::Running {
                // Random, because any number of operations may end in the same microsecond.
                let event_at = keys::event(&changed.org, changed.updated_at, rand::random::<u32>().into());
                ops.push(put(event_at, &ended_event(&changed))?);
            }
            match self.store.txn(Txn { request: None, guards, ops }).await? {
                TxnOutcome::Committed { .. } => return Ok(changed),
                TxnOutcome::GuardFailed { .. } => {}
            }
        }
    }

    /// Returns at `until`, or as soon as someone asks to stop.
    async fn wait(&self, operation: &Operation, until: Timestamp) {
        let wait = Duration::try_from(until.duration_since(self.clock.now())).unwrap_or(Duration::ZERO);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.cancelled(operation), if !operation.cancel_requested => {}
        }
    }

    /// Returns when someone asked to stop the operation.
    async fn cancelled(&self, operation: &Operation) {
        let mut states = self.mirror.subscribe();
        let asked = states
            .wait_for(|state| state.operations.get(&operation.id).is_none_or(|known| known.cancel_requested));
        if asked.await.is_err() {
            std::future::pending().await
        }
    }
}

fn ended_event(ended: &Operation) -> Event {
    let succeeded = ended.status == OperationStatus::Succeeded;
    let status = format!("{:?}", ended.status).to_lowercase();
    let why = ended.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    Event {
        at: ended.updated_at,
        kind: EventKind::OperationEnded,
        severity: if succeeded { Severity::Info } else { Severity::Warning },
        workload: None,
        instance: None,
        node: None,
        message: format!("{} of {} ended {status}{why}", ended.kind.replace('_', " "), ended.subject),
    }
}

fn failed(step: usize, error: StepError) -> SagaEvent {
    SagaEvent::Failed { step, error: error.error, temporary: error.temporary }
}
