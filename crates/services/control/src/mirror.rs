//! Keeps a [`State`] in step with the store and tells loops what was touched.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{
    Consistency, Page, Prefix, Revision, StateStore, WatchBatch, WatchError, WatchEvent,
};

use crate::error::Error;
use crate::state::{State, Touched};

/// Pause before watching again after the store failed.
const RETRY: Duration = Duration::from_millis(200);
/// How long a caller waits for the picture of its own write: longer than a busy machine stands still, and not for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// A reader of the picture.
#[derive(Clone)]
pub struct Mirror {
    state: watch::Receiver<State>,
}

/// What was touched since a loop last asked; any number of changes make one wake-up.
#[derive(Clone, Default)]
pub struct Inbox {
    touched: Arc<Mutex<Touched>>,
    wake: Arc<Notify>,
}

impl Inbox {
    /// Everything touched since the last call.
    pub fn take(&self) -> Touched {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when something was touched since the last [`Inbox::take`].
    pub async fn wait(&self) {
        self.wake.notified().await;
    }

    fn add(&self, touched: &Touched) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).absorb(touched.clone());
        self.wake.notify_one();
    }
}

impl Mirror {
    /// Reads everything once, then follows the store until `shutdown`. Answers when the first picture is complete.
    ///
    /// # Errors
    /// When the store cannot be read at first; later failures are retried.
    pub async fn start(
        store: Arc<dyn StateStore>,
        inboxes: Vec<Inbox>,
        shutdown: CancellationToken,
    ) -> Result<Self, Error> {
        let mut touched = Touched::default();
        let first = read_all(&*store, &mut touched).await?;
        let (sender, state) = watch::channel(first);
        for inbox in &inboxes {
            inbox.add(&touched);
        }
        tokio::spawn(shutdown.run_until_cancelled_owned(follow(store, sender, inboxes)));
        Ok(Self { state })
    }

    /// The newest picture.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until the picture contains `revision`, so that a caller reads its own write.
    pub async fn at_least(&self, revision: Revision) -> State {
        let mut receiver = self.state.clone();
        let wait = receiver.wait_for(|state| state.revision >= revision);
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) | Err(_) => self.state(),
        }
    }

    /// A receiver that is marked changed with each new picture.
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.state.clone()
    }
}

async fn read_all(store: &dyn StateStore, touched: &mut Touched) -> Result<State, Error> {
    // On one page, which is one view: pages of different revisions make no picture, and a busy cluster never rests.
    let out = store.range(&Prefix::all(), Page::all(), Consistency::LOCAL).await?;
    let mut state = State::default();
    for item in &out.items {
        state.put(&item.key, &item.value, touched);
    }
    state.revision = out.revision;
    Ok(state)
}

async fn follow(store: Arc<dyn StateStore>, sender: watch::Sender<State>, inboxes: Vec<Inbox>) {
    loop {
        let from = sender.borrow().revision;
        match store.watch(&Prefix::all(), from).await {
            Ok(mut batches) => loop {
                match batches.next().await {
                    Some(Ok(batch)) => take_in(&sender, &inboxes, &batch),
                    Some(Err(WatchError::Closed)) | None => break,
                    Some(Err(error @ WatchError::Compacted { .. })) => {
                        tracing::warn!(%error, "the picture of the state is made anew");
                        make_anew(&*store, &sender, &inboxes).await;
                        break;
                    }
                }
            },
            Err(univrs_ports::store::Error::Compacted { .. }) => make_anew(&*store, &sender, &inboxes).await,
            Err(error) => tracing::warn!(%error, "cannot watch the store; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn make_anew(store: &dyn StateStore, sender: &watch::Sender<State>, inboxes: &[Inbox]) {
    let mut touched = Touched::default();
    match read_all(store, &mut touched).await {
        Ok(state) => {
            // What vanished meanwhile is touched too: every known workload is.
            touched.workloads = touched.workloads.union(sender.borrow().workloads.keys().cloned().collect());
            touched.nodes = touched.nodes.union(sender.borrow().nodes.keys().cloned().collect());
            touched.instances =
                touched.instances.union(sender.borrow().assignments.keys().cloned().collect());
            sender.send_replace(state);
            for inbox in inboxes {
                inbox.add(&touched);
            }
        }
        Err(error) => tracing::warn!(%error, "cannot read the store; trying again"),
    }
}

fn take_in(sender: &watch::Sender<State>, inboxes: &[Inbox], batch: &WatchBatch) {
    let mut touched = Touched::default();
    sender.send_modify(|state| {
        for event in &batch.events {
            match event {
                WatchEvent::Put { key, value } => state.put(key, value, &mut touched),
                WatchEvent::Delete { key } => state.delete(key, &mut touched),
            }
        }
        state.revision = batch.revision;
    });
    for inbox in inboxes {
        inbox.add(&touched);
    }
}
