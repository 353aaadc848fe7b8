//! What lies between one process and the store: messages that take time, get lost, come late and come twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWrite;
use tokio::sync::Notify;
use tokio::time::Instant;
use univrs_control::Mirror;
use univrs_ports::store::{
    Command, Consistency, Error, Key, LeaseGrant, LeaseId, Machine, Page, Prefix, RangeOut, Response, Result,
    Revision, SnapshotMeta, StateStore, StoredValue, Txn, TxnOutcome, WatchBatch, WatchError, WatchEvent,
    WatchStream,
};

use super::chance::Chance;
use super::hub::Hub;

/// How long a request waits for its answer, as the real store does.
const ANSWER: Duration = Duration::from_secs(5);
/// How often a watch looks whether its line is whole again.
const LOOK: Duration = Duration::from_millis(100);

/// The line of one machine, and the copy of the state that it has while the line is cut.
#[derive(Default)]
pub(crate) struct Line {
    cut: AtomicBool,
    /// When it was last cut or mended.
    changed: Mutex<Option<Instant>>,
    pub(crate) slow: AtomicBool,
    /// Whether the machine has no copy of the state.
    pub(crate) slim: AtomicBool,
    /// When its agent last kept its lease alive, or the machine was started.
    pub(crate) heard: Mutex<Option<Instant>>,
    copy: Mutex<Machine>,
}

impl Line {
    /// Cuts the line or makes it whole.
    pub(crate) fn set_cut(&self, hub: &Hub, cut: bool) {
        let was = self.cut.swap(cut, Ordering::SeqCst);
        if was != cut {
            *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        if cut && !was {
            *self.copy.lock().unwrap_or_else(PoisonError::into_inner) = hub.lock().machine.clone();
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Whether it has been whole since then.
    pub(crate) fn whole_since(&self, then: Instant) -> bool {
        let changed = *self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_cut() && changed.is_none_or(|changed| changed <= then)
    }
}

/// Whether a process lives. One that does not is never answered and does nothing more: as after `kill -9`.
#[derive(Default)]
pub(crate) struct Life {
    dead: AtomicBool,
    pub(crate) ended: Notify,
}

impl Life {
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.ended.notify_one();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Goes on only in a living process.
    pub(crate) async fn goes_on(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}

/// Planted: what a process does wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Nothing.
    #[default]
    Nothing,
    /// Agents believe in their lease for ever.
    EternalLease,
    /// Decisions are written whatever has changed since.
    NoGuards,
    /// Whoever is silent in gossip and does not answer when asked loses its lease.
    SilenceIsDeath,
    /// Agents count from their own start since when they have not been heard.
    FreshStart,
    /// Agents that are started again know from the state only what may not run alone.
    NothingNoted,
}

/// The store as one process sees it.
pub(crate) struct Link {
    pub(crate) hub: Hub,
    pub(crate) line: Arc<Line>,
    pub(crate) life: Arc<Life>,
    pub(crate) chance: Chance,
    pub(crate) plant: Plant,
    /// How many writes until the process crashes; none when it does not.
    pub(crate) writes_left: AtomicU64,
    /// The picture that decisions are made from, for the control plane's processes.
    pub(crate) decides_from: OnceLock<Mirror>,
}

/// A crash that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

impl Link {
    pub(crate) fn new(
        hub: &Hub,
        line: &Arc<Line>,
        life: &Arc<Life>,
        chance: &Chance,
        plant: Plant,
    ) -> Arc<Self> {
        Arc::new(Self {
            hub: hub.clone(),
            line: Arc::clone(line),
            life: Arc::clone(life),
            chance: chance.clone(),
            plant,
            writes_left: NEVER.into(),
            decides_from: OnceLock::new(),
        })
    }

    fn way(&self) -> Duration {
        if self.line.slow.load(Ordering::SeqCst) {
            self.chance.millis(50..900)
        } else {
            self.chance.millis(0..4)
        }
    }

    fn is_cut(&self) -> bool {
        self.line.is_cut()
    }

    /// There and back: `act` happens on arrival.
    async fn ask<T>(&self, act: impl FnOnce(&Hub) -> T) -> Result<T> {
        self.life.goes_on().await;
        let deadline = Instant::now() + ANSWER;
        tokio::time::sleep(self.way()).await;
        let mut done = None;
        if !self.is_cut() {
            self.life.goes_on().await;
            done = Some(act(&self.hub));
            tokio::time::sleep(self.way()).await;
        }
        self.life.goes_on().await;
        match done {
            Some(done) if !self.is_cut() => Ok(done),
            done => {
                tokio::time::sleep_until(deadline).await;
                self.life.goes_on().await;
                Err(Error::Unavailable { reason: "no answer came", may_have_committed: done.is_some() })
            }
        }
    }

    /// Whether the process crashes at this write: before it arrives, or after and before the answer.
    fn crashes_now(&self) -> bool {
        let count = |left: u64| if left == NEVER { None } else { Some(left.saturating_sub(1)) };
        self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) == Ok(1)
    }

    async fn command(&self, command: Command) -> Result<Response> {
        if self.crashes_now() {
            if self.chance.percent(50) {
                self.hub.apply(command);
            }
            self.life.end();
            self.life.goes_on().await;
            return Err(Error::Closed);
        }
        // What is on its way when the line is cut may still arrive, after its sender has given up.
        if self.is_cut() && self.chance.percent(20) {
            let (hub, late) = (self.hub.clone(), self.chance.millis(10..9000));
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                hub.apply(command);
            });
            tokio::time::sleep(ANSWER).await;
            self.life.goes_on().await;
            return Err(Error::Unavailable { reason: "no answer came", may_have_committed: true });
        }
        let twice = matches!(&command, Command::Txn(txn) if txn.request.is_some()) && self.chance.percent(5);
        let again = twice.then(|| command.clone());
        self.ask(|hub| {
            let response = hub.apply(command);
            again.into_iter().for_each(|again| drop(hub.apply(again)));
            response
        })
        .await
    }
}

struct Watch {
    link: Arc<Link>,
    bell: Arc<Notify>,
    prefix: Prefix,
    cursor: Revision,
    ready: std::vec::IntoIter<WatchBatch>,
    ended: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<std::result::Result<WatchBatch, WatchError>> {
        if self.ended {
            return None;
        }
        loop {
            self.link.life.goes_on().await;
            if self.link.is_cut() {
                tokio::time::sleep(LOOK).await;
                // Some lines stay open until they go on, others are made anew.
                if !self.link.is_cut() && self.link.chance.percent(30) {
                    self.ended = true;
                    return Some(Err(WatchError::Closed));
                }
                continue;
            }
            if let Some(batch) = self.ready.next() {
                self.cursor = batch.revision;
                let events = batch.events.into_iter().filter(|event| self.prefix.contains(event.key()));
                return Some(Ok(WatchBatch { revision: batch.revision, events: events.collect() }));
            }
            match self.link.hub.since(self.cursor) {
                Err(oldest) => {
                    self.ended = true;
                    return Some(Err(WatchError::Compacted { oldest }));
                }
                Ok(batches) if batches.is_empty() => self.bell.notified().await,
                Ok(batches) => {
                    tokio::time::sleep(self.link.way()).await;
                    self.ready = batches.into_iter();
                }
            }
        }
    }
}

/// A [`Link`] as the port.
pub(crate) struct Linked(pub(crate) Arc<Link>);

#[async_trait]
impl StateStore for Linked {
    async fn get(&self, key: &Key, _: Consistency) -> Result<Option<StoredValue>> {
        self.0.ask(|hub| hub.lock().machine.get(key).cloned()).await
    }

    async fn range(&self, prefix: &Prefix, page: Page, consistency: Consistency) -> Result<RangeOut> {
        self.0.life.goes_on().await;
        let has_copy = !self.0.line.slim.load(Ordering::SeqCst);
        if has_copy && self.0.is_cut() && consistency != Consistency::Linearizable {
            let copy = self.0.line.copy.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Ok(copy.range(prefix, &page));
        }
        self.0.ask(|hub| hub.lock().machine.range(prefix, &page)).await
    }

    async fn txn(&self, mut txn: Txn) -> Result<TxnOutcome> {
        if let Some(mirror) = self.0.decides_from.get() {
            self.0.hub.lock().promises.decided(&mirror.state(), &txn);
            if self.0.plant == Plant::NoGuards {
                txn.guards.clear();
            }
        }
        self.0.command(Command::Txn(txn)).await?.into_txn()
    }

    async fn watch(&self, prefix: &Prefix, from: Revision) -> Result<WatchStream> {
        self.0.life.goes_on().await;
        let watch = Watch {
            link: Arc::clone(&self.0),
            bell: self.0.hub.bell(),
            prefix: prefix.clone(),
            cursor: from,
            ready: Vec::new().into_iter(),
            ended: false,
        };
        Ok(Box::pin(futures::stream::unfold(watch, |mut watch| async move {
            let item = watch.next().await?;
            Some((item, watch))
        })))
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseGrant> {
        self.0.command(Command::GrantLease { ttl }).await?.into_grant()
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<LeaseGrant> {
        let asked = Instant::now();
        let renewed = self.0.ask(|hub| hub.keep_alive(lease)).await?;
        if renewed.is_ok() {
            *self.0.line.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        }
        renewed
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        self.0.command(Command::RevokeLease { lease }).await?.into_revoked()
    }

    async fn snapshot(&self, _: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<SnapshotMeta> {
        Err(Error::Closed)
    }

    fn revision(&self) -> Revision {
        self.0.hub.lock().machine.revision()
    }
}

/// The key that an event is about, and its value if it has one.
pub(crate) fn parts(event: &WatchEvent) -> (&Key, Option<&StoredValue>) {
    match event {
        WatchEvent::Put { key, value } => (key, Some(value)),
        WatchEvent::Delete { key } => (key, None),
    }
}
