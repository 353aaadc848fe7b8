//! Who works on what: one worker per key, and content that the collector must leave alone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use crate::digest::Digest;

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock per key, made when first asked for and forgotten when nobody holds it.
#[derive(Default)]
pub(crate) struct KeyedLocks(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl KeyedLocks {
    /// Waits until nobody else holds `key`.
    pub(crate) async fn lock(&self, key: String) -> OwnedMutexGuard<()> {
        let lock = {
            let mut map = held(&self.0);
            map.retain(|_, lock| lock.strong_count() > 0);
            match map.get(&key).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::default();
                    map.insert(key, Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }
}

/// Content in use by work that is going on.
///
/// Work pins a digest *before* it looks whether the content is there; the collector deletes each piece only if, at that
/// moment, nobody has pinned it since the collection began. So content that was seen is there until the pin goes.
#[derive(Default)]
pub(crate) struct Pins(Mutex<PinState>);

#[derive(Default)]
struct PinState {
    counts: HashMap<Digest, usize>,
    since_collection: Option<HashSet<Digest>>,
}

impl Pins {
    /// Starts an empty set of pins.
    pub(crate) fn hold(self: &Arc<Self>) -> Pinned {
        Pinned { pins: Arc::clone(self), digests: Vec::new() }
    }

    /// From now on, pins count even after they are let go.
    pub(crate) fn begin_collection(&self) {
        let mut state = held(&self.0);
        state.since_collection = Some(state.counts.keys().cloned().collect());
    }

    /// Ends what [`Self::begin_collection`] began.
    pub(crate) fn end_collection(&self) {
        held(&self.0).since_collection = None;
    }

    /// Runs `delete` unless the content is pinned; nobody can pin it meanwhile.
    pub(crate) fn unless_pinned<T>(
        &self,
        is_it: impl Fn(&Digest) -> bool,
        delete: impl FnOnce() -> T,
    ) -> Option<T> {
        let state = held(&self.0);
        let pinned = state.since_collection.iter().flatten().any(is_it);
        (!pinned).then(delete)
    }
}

/// Pins, let go together.
pub(crate) struct Pinned {
    pins: Arc<Pins>,
    digests: Vec<Digest>,
}

impl Pinned {
    pub(crate) fn add(&mut self, digest: &Digest) {
        let mut state = held(&self.pins.0);
        *state.counts.entry(digest.clone()).or_default() += 1;
        if let Some(since) = &mut state.since_collection {
            since.insert(digest.clone());
        }
        self.digests.push(digest.clone());
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut state = held(&self.pins.0);
        for digest in &self.digests {
            if let Some(count) = state.counts.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    state.counts.remove(digest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pinned_during_a_collection_stays() {
        let pins = Arc::new(Pins::default());
        let [before, during, never] = [b"a", b"b", b"c"].map(|text| Digest::of(text));
        let mut held_before = pins.hold();
        held_before.add(&before);
        pins.begin_collection();
        drop(held_before);
        pins.hold().add(&during);
        assert!(pins.unless_pinned(|digest| *digest == before, || ()).is_none());
        assert!(pins.unless_pinned(|digest| *digest == during, || ()).is_none());
        assert!(pins.unless_pinned(|digest| *digest == never, || ()).is_some());
        pins.end_collection();
        pins.begin_collection();
        assert!(pins.unless_pinned(|digest| *digest == before, || ()).is_some());
    }
}
