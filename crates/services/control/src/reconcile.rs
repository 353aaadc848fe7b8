//! The loop that moves workloads towards what is wanted: observe, decide (pure), commit, and look again. When to look
//! at which workload is decided here; `look` is what happens then.
//!
//! Level-triggered: a change only says where to look. Decisions are guarded by the revisions they were made
//! from, so two loops may run at once and the later picture wins; a lost race costs one more look.

mod look;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdSet;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use univrs_model::Timestamp;
use univrs_model::node::Role;
use univrs_ports::clock::Clock;
use univrs_ports::store::StateStore;

use crate::fence::Fence;
use crate::history;
use crate::join_tokens;
use crate::mirror::{Inbox, Mirror};
use crate::placement::Placement;
use crate::preemption::Nominations;
use crate::state::WorkloadKey;
use crate::tokens;

/// Everything is looked at this often even if nothing said that it changed.
const SWEEP: Duration = Duration::from_secs(30);
/// Pause before the lead is taken again.
const RETAKE: Duration = Duration::from_millis(300);
/// Longest wait for a commit to appear in the picture before the next look.
const PATIENCE: Duration = Duration::from_secs(1);

/// The loop and what it works with.
pub struct Reconciler {
    store: Arc<dyn StateStore>,
    mirror: Mirror,
    inbox: Inbox,
    clock: Arc<dyn Clock>,
    placement: Placement,
    wake: BTreeMap<WorkloadKey, Timestamp>,
    /// Workloads with instances that no node could take: they look again when room is given back.
    waiting: OrdSet<WorkloadKey>,
    /// Instances for which room is being made.
    nominations: Nominations,
    serial: u64,
    /// Where ids of new instances come from.
    seeds: Box<dyn FnMut() -> u128 + Send>,
    leading: watch::Receiver<bool>,
    /// Keeps other loops, and what this one does not know of, from deciding as well.
    fence: Fence,
}

impl Reconciler {
    /// A loop over these parts; `inbox` must be one of those the mirror fills. It follows the picture all the time and
    /// acts while this node leads.
    pub fn new(
        store: Arc<dyn StateStore>,
        mirror: Mirror,
        inbox: Inbox,
        clock: Arc<dyn Clock>,
        leading: watch::Receiver<bool>,
    ) -> Self {
        // Event keys of this loop start apart from those of faces and nodes.
        Self {
            store,
            mirror,
            inbox,
            clock,
            placement: Placement::default(),
            wake: BTreeMap::new(),
            waiting: OrdSet::new(),
            nominations: Nominations::default(),
            serial: (1 << 30) + crate::handle::own_numbers(),
            seeds: Box::new(rand::random),
            leading,
            fence: Fence::default(),
        }
    }

    /// Takes the ids of new instances from `seeds` instead of chance, so that a run can be repeated.
    #[must_use]
    pub fn with_seeds(mut self, seeds: impl FnMut() -> u128 + Send + 'static) -> Self {
        self.seeds = Box::new(seeds);
        self
    }

    /// Runs until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            let until_wake = self.until_next_wake();
            // In order, so that a run can be repeated; what comes often comes last.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = sweep.tick() => if *self.leading.borrow() {
                    self.sweep().await;
                },
                changed = self.leading.changed() => match changed {
                    // Whatever the leader before had in mind is decided anew.
                    Ok(()) if *self.leading.borrow_and_update() => {
                        self.fence.fall();
                        self.sweep().await;
                    }
                    Ok(()) => {}
                    Err(_) => return,
                },
                () = self.inbox.wait() => {}
                () = tokio::time::sleep(until_wake) => {}
            }
            let leads = *self.leading.borrow();
            if leads && (self.fence.stands() || self.fence.raise(&*self.store, &self.mirror).await) {
                self.pass().await;
            } else {
                self.watch_on(leads);
            }
        }
    }

    /// Follows the picture without acting, so that this node can take over at any moment; what is due stays so for one
    /// who `leads` and could not take over yet.
    fn watch_on(&mut self, leads: bool) {
        if leads {
            return;
        }
        self.fence.fall();
        let touched = self.inbox.take();
        let state = self.mirror.state();
        self.placement.follow(&state, &touched, self.clock.now());
        self.nominations.follow(&state);
        self.wake.clear();
    }

    fn until_next_wake(&self) -> Duration {
        if !self.fence.stands() && *self.leading.borrow() {
            return RETAKE;
        }
        let now = self.clock.now();
        let next = self.wake.values().min().map(|at| at.duration_since(now));
        next.map_or(SWEEP, |wait| Duration::try_from(wait).unwrap_or(Duration::ZERO).min(SWEEP))
    }

    async fn sweep(&mut self) {
        let state = self.mirror.state();
        for key in state.workloads.keys() {
            self.wake.insert(key.clone(), Timestamp::UNIX_EPOCH);
        }
        let logs = state.orgs.keys().map(Some).chain([None]);
        for org in logs {
            let trimmed = async {
                history::trim(&self.store, org).await?;
                match org {
                    Some(org) => history::trim_operations(&self.store, &state, org).await,
                    None => Ok(()),
                }
            };
            if let Err(error) = trimmed.await {
                tracing::warn!(
                    ?org,
                    error = &error as &dyn std::error::Error,
                    "old log entries could not be removed"
                );
            }
        }
        if let Err(error) = join_tokens::forget_ended(&self.store, &state, self.clock.now()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "join tokens that ended long ago could not be removed"
            );
        }
        if let Err(error) = tokens::forget_ended(&self.store, &state, self.clock.now()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "tokens that ended long ago could not be removed"
            );
        }
    }

    /// One look at everything that was touched or is due.
    async fn pass(&mut self) {
        let touched = self.inbox.take();
        let mut state = self.mirror.state();
        let now = self.clock.now();
        let room_appeared = self.placement.follow(&state, &touched, now);
        let mut due: OrdSet<WorkloadKey> = touched.workloads;
        if room_appeared {
            due = due.union(self.waiting.clone());
        }
        if !touched.nodes.is_empty() {
            // Room may have appeared or gone: who waits for a node, and who runs on one, looks again.
            due = due.union(state.workloads.keys().cloned().collect());
        }
        due = due.union(self.wake.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect());
        self.nominations.follow(&state);
        // What matters more chooses first.
        let priority =
            |key: &WorkloadKey| state.workloads.get(key).map_or(0, |workload| workload.spec.priority);
        let mut due: Vec<WorkloadKey> = due.into_iter().collect();
        due.sort_by_key(|key| std::cmp::Reverse(priority(key)));
        for key in due {
            if !self.fence.stands() {
                // Whatever else is due waits until this loop knows again what was decided.
                self.wake_at(key, now);
                continue;
            }
            self.wake.remove(&key);
            self.waiting.remove(&key);
            let span = tracing::info_span!("decide", org = %key.org, workload = %key.name);
            match self.look_at(&state, &key).instrument(span).await {
                Ok(Some(revision)) => {
                    // The next workload's placement must see what this one took.
                    let seen = tokio::time::timeout(PATIENCE, self.mirror.at_least(revision)).await;
                    state = seen.unwrap_or_else(|_| self.mirror.state());
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(workload = %key.name, error = &error as &dyn std::error::Error, "cannot move a workload; trying again");
                    self.wake_at(
                        key,
                        now.saturating_add(jiff::SignedDuration::from_millis(500)).unwrap_or(now),
                    );
                }
            }
        }
    }

    fn wake_at(&mut self, key: WorkloadKey, at: Timestamp) {
        let known = self.wake.entry(key).or_insert(at);
        *known = (*known).min(at);
    }
}

/// Whether a node with these roles runs workloads.
pub(crate) fn runs_workloads(roles: &[Role]) -> bool {
    roles.iter().any(|role| matches!(role, Role::Business | Role::Slim))
}
