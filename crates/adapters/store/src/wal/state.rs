//! What the log knows about itself in memory: where each entry is, and the newest entries themselves.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::entry::RaftEntry;

use crate::types::{Entry, LogId, Vote};

/// Where an entry is on disk. Segment zero means that it is not written yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// An entry that need not be read from disk.
pub(crate) struct Cached {
    /// Tells apart two entries which had the same index at different times.
    pub(crate) ticket: u64,
    pub(crate) entry: Entry,
    pub(crate) size: usize,
}

/// A file of the log.
pub(crate) struct Segment {
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
    /// The highest index that was ever written to it.
    pub(crate) max_index: Option<u64>,
}

/// The log in memory. Entries `first .. first + places.len()` exist; the newest are in the cache as well.
#[derive(Default)]
pub(crate) struct LogView {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) last: Option<LogId>,
    pub(crate) first: u64,
    pub(crate) places: VecDeque<Place>,
    pub(crate) cache: VecDeque<Cached>,
    pub(crate) cache_bytes: usize,
    pub(crate) segments: BTreeMap<u32, Segment>,
    /// Bytes of entries appended since the last snapshot.
    pub(crate) bytes_since_snapshot: u64,
}

/// The bytes an entry occupies, roughly.
pub(crate) fn entry_size(entry: &Entry) -> usize {
    64 + match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 64,
    }
}

impl LogView {
    /// The index behind the last entry.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Adds an entry at the end. Fails when that would leave a hole.
    pub(crate) fn push(&mut self, ticket: u64, entry: Entry, place: Place) -> Result<(), String> {
        let log_id = entry.log_id();
        if self.places.is_empty() {
            self.first = log_id.index;
        } else if log_id.index != self.next() {
            return Err(format!(
                "entry {} cannot follow entry {}",
                log_id.index,
                self.next().wrapping_sub(1)
            ));
        }
        let size = entry_size(&entry);
        self.bytes_since_snapshot += size as u64;
        self.cache_bytes += size;
        self.last = Some(log_id);
        self.places.push_back(place);
        self.cache.push_back(Cached { ticket, entry, size });
        Ok(())
    }

    /// The cached entry at an index.
    pub(crate) fn cached(&self, index: u64) -> Option<&Cached> {
        let start = self.next() - self.cache.len() as u64;
        self.cache.get(usize::try_from(index.checked_sub(start)?).ok()?)
    }

    /// Notes where an entry was written, unless it was replaced meanwhile.
    pub(crate) fn placed(&mut self, index: u64, ticket: u64, place: Place) {
        if self.cached(index).is_some_and(|cached| cached.ticket == ticket)
            && let Some(slot) = self.slot(index)
        {
            *slot = place;
        }
    }

    fn slot(&mut self, index: u64) -> Option<&mut Place> {
        self.places.get_mut(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    /// Drops the oldest written entries from the cache until it holds at most `limit` bytes.
    pub(crate) fn shrink_cache(&mut self, limit: usize) {
        while self.cache_bytes > limit {
            let index = self.next() - self.cache.len() as u64;
            if self.slot(index).is_none_or(|place| place.segment == 0) {
                return;
            }
            let Some(oldest) = self.cache.pop_front() else { return };
            self.cache_bytes -= oldest.size;
        }
    }

    /// Removes the entries from `from` on. `last` is the log id before them.
    pub(crate) fn truncate(&mut self, from: u64, last: Option<LogId>) {
        if self.next() <= from {
            return;
        }
        while self.next() > from && self.places.pop_back().is_some() {
            if let Some(cached) = self.cache.pop_back() {
                self.cache_bytes -= cached.size;
            }
        }
        self.last = last.max(self.purged);
    }

    /// Removes the entries up to a log id.
    pub(crate) fn purge(&mut self, upto: LogId) {
        if self.purged.as_ref() >= Some(&upto) {
            return;
        }
        while !self.places.is_empty() && self.first <= upto.index {
            if self.cache.len() == self.places.len()
                && let Some(cached) = self.cache.pop_front()
            {
                self.cache_bytes -= cached.size;
            }
            self.places.pop_front();
            self.first += 1;
        }
        self.last = self.last.max(Some(upto));
        self.purged = Some(upto);
        if self.places.is_empty() {
            self.last = self.purged;
        }
    }
}
