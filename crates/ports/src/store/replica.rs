//! One node's copy of the state, shared by the applier, the readers and the watchers.

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::Stream;
use tokio::sync::watch;

use super::command::{Command, Response};
use super::error::{Error, Result, WatchError};
use super::history::History;
use super::machine::Machine;
use super::types::{Key, Page, Prefix, RangeOut, Revision, StoredValue, WatchBatch};

/// The batches of a watch; it ends after the first error.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchBatch, WatchError>> + Send>>;

/// Batches looked at under one lock.
const WATCH_CHUNK: usize = 256;
/// A watcher that saw nothing of interest for this many revisions gets a bookmark.
const BOOKMARK_EVERY: u64 = 1024;

struct State<T> {
    machine: Machine,
    history: History,
    /// What the implementation must change together with the state, such as the log position.
    tag: T,
}

struct Inner<T> {
    state: RwLock<State<T>>,
    revision: watch::Sender<Option<Revision>>,
}

/// A machine with its history for watchers and a tag that always fits the machine's state.
///
/// Readers copy out what they need under a short lock; long work goes on a clone, which costs nothing.
pub struct Replica<T> {
    inner: Arc<Inner<T>>,
}

impl<T> Clone for Replica<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Clone + Send + Sync + 'static> Replica<T> {
    /// An empty replica that keeps about `history_bytes` of changes for watchers.
    pub fn new(tag: T, history_bytes: usize) -> Self {
        let state = State { machine: Machine::default(), history: History::new(history_bytes), tag };
        let (revision, _) = watch::channel(Some(Revision(0)));
        Self { inner: Arc::new(Inner { state: RwLock::new(state), revision }) }
    }

    /// Applies commands as one step and then replaces the tag.
    pub fn apply(
        &self,
        commands: impl IntoIterator<Item = Command>,
        tag: impl FnOnce(&mut T),
    ) -> Vec<Response> {
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut responses = Vec::new();
        for command in commands {
            let (response, batch) = state.machine.apply(command);
            if let Some(batch) = batch {
                state.history.push(batch);
            }
            responses.push(response);
        }
        tag(&mut state.tag);
        let revision = state.machine.revision();
        drop(state);
        self.inner.revision.send_if_modified(|seen| match seen {
            Some(seen) if *seen < revision => {
                *seen = revision;
                true
            }
            _ => false,
        });
        responses
    }

    /// Replaces the whole state, for example by a snapshot. Watchers that have not seen all of the new
    /// state are told to list again.
    pub fn install(&self, machine: Machine, tag: T) {
        let revision = machine.revision();
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        state.history.reset(revision);
        state.machine = machine;
        state.tag = tag;
        drop(state);
        self.inner.revision.send_modify(|seen| {
            if seen.is_some() {
                *seen = Some(revision);
            }
        });
    }

    /// Ends all watches and waits.
    pub fn close(&self) {
        self.inner.revision.send_replace(None);
    }

    /// A constant-time copy of the state.
    pub fn view(&self) -> (Machine, T) {
        self.read(|machine, tag| (machine.clone(), tag.clone()))
    }

    /// Reads under the lock; `read` must be short.
    pub fn read<R>(&self, read: impl FnOnce(&Machine, &T) -> R) -> R {
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        read(&state.machine, &state.tag)
    }

    /// The newest revision.
    pub fn revision(&self) -> Revision {
        self.read(|machine, _| machine.revision())
    }

    /// The value under a key.
    pub fn get(&self, key: &Key) -> Option<StoredValue> {
        self.read(|machine, _| machine.get(key).cloned())
    }

    /// One page of a range. Large pages do not hold up the applier.
    pub fn range(&self, prefix: &Prefix, page: &Page) -> RangeOut {
        self.view().0.range(prefix, page)
    }

    /// Waits until `revision` is applied.
    pub async fn wait_for(&self, revision: Revision, timeout: Duration) -> Result<()> {
        if self.revision() >= revision {
            return Ok(());
        }
        let mut seen = self.inner.revision.subscribe();
        let reached = seen.wait_for(|seen| seen.is_none_or(|seen| seen >= revision));
        match tokio::time::timeout(timeout, reached).await {
            Ok(Ok(seen)) if seen.is_some() => Ok(()),
            Ok(_) => Err(Error::Closed),
            Err(_) => Err(Error::Unavailable {
                reason: "this node did not reach the revision in time",
                may_have_committed: false,
            }),
        }
    }

    /// Watches a prefix (STORE-4). Nothing is buffered per watcher: it reads the shared history at its own
    /// pace, and ends with [`WatchError::Compacted`] when it falls behind it.
    pub fn watch(&self, prefix: &Prefix, from: Revision) -> Result<WatchStream> {
        let floor = self.read_history(|history| history.floor());
        if from < floor {
            return Err(Error::Compacted { oldest: floor });
        }
        let watcher = Watcher {
            replica: self.clone(),
            prefix: prefix.clone(),
            cursor: from,
            told: from,
            seen: self.inner.revision.subscribe(),
            ready: Vec::new().into_iter(),
            ended: false,
        };
        Ok(Box::pin(futures::stream::unfold(watcher, |mut watcher| async move {
            let item = watcher.next().await?;
            Some((item, watcher))
        })))
    }

    fn read_history<R>(&self, read: impl FnOnce(&History) -> R) -> R {
        read(&self.inner.state.read().unwrap_or_else(PoisonError::into_inner).history)
    }
}

struct Watcher<T> {
    replica: Replica<T>,
    prefix: Prefix,
    /// Everything up to here was looked at.
    cursor: Revision,
    /// The revision of the last batch the watcher got.
    told: Revision,
    seen: watch::Receiver<Option<Revision>>,
    ready: std::vec::IntoIter<Arc<WatchBatch>>,
    ended: bool,
}

impl<T: Clone + Send + Sync + 'static> Watcher<T> {
    async fn next(&mut self) -> Option<Result<WatchBatch, WatchError>> {
        loop {
            if self.ended {
                return None;
            }
            while let Some(batch) = self.ready.next() {
                self.cursor = batch.revision;
                let events: Vec<_> =
                    batch.events.iter().filter(|event| self.prefix.contains(event.key())).cloned().collect();
                if !events.is_empty() {
                    self.told = batch.revision;
                    return Some(Ok(WatchBatch { revision: batch.revision, events }));
                }
            }
            let now = *self.seen.borrow_and_update();
            if now.is_none() {
                self.ended = true;
                return Some(Err(WatchError::Closed));
            }
            match self.replica.read_history(|history| history.since(self.cursor, WATCH_CHUNK)) {
                Err(oldest) => {
                    self.ended = true;
                    return Some(Err(WatchError::Compacted { oldest }));
                }
                Ok(batches) if !batches.is_empty() => self.ready = batches.into_iter(),
                Ok(_) if self.cursor.0 >= self.told.0 + BOOKMARK_EVERY => {
                    self.told = self.cursor;
                    return Some(Ok(WatchBatch { revision: self.cursor, events: Vec::new() }));
                }
                Ok(_) => {
                    if self.seen.changed().await.is_err() {
                        self.ended = true;
                        return Some(Err(WatchError::Closed));
                    }
                }
            }
        }
    }
}
