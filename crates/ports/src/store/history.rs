//! The recent changes, kept for watchers and bounded by bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::types::{Revision, WatchBatch, WatchEvent};

/// Bookkeeping per event and per batch, roughly.
const OVERHEAD: usize = 96;

/// The newest batches in revision order. Everything above [`History::floor`] is here.
#[derive(Debug)]
pub struct History {
    batches: VecDeque<(Arc<WatchBatch>, usize)>,
    bytes: usize,
    limit: usize,
    floor: Revision,
}

impl History {
    /// An empty history that keeps about `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, limit, floor: Revision(0) }
    }

    /// The oldest revision from which a watch can start.
    pub fn floor(&self) -> Revision {
        self.floor
    }

    /// Adds the next batch and drops the oldest ones above the limit. The newest batch always stays.
    pub fn push(&mut self, batch: WatchBatch) {
        let size = OVERHEAD + batch.events.iter().map(event_size).sum::<usize>();
        self.bytes += size;
        self.batches.push_back((Arc::new(batch), size));
        while self.bytes > self.limit && self.batches.len() > 1 {
            if let Some((oldest, size)) = self.batches.pop_front() {
                self.bytes -= size;
                self.floor = oldest.revision;
            }
        }
    }

    /// Forgets everything: the state now comes from a snapshot at this revision.
    pub fn reset(&mut self, floor: Revision) {
        self.batches.clear();
        self.bytes = 0;
        self.floor = floor;
    }

    /// Up to `count` batches above `from`, or the floor when `from` lies below it.
    pub fn since(&self, from: Revision, count: usize) -> Result<Vec<Arc<WatchBatch>>, Revision> {
        if from < self.floor {
            return Err(self.floor);
        }
        let start = self.batches.partition_point(|(batch, _)| batch.revision <= from);
        Ok(self.batches.range(start..).take(count).map(|(batch, _)| Arc::clone(batch)).collect())
    }
}

fn event_size(event: &WatchEvent) -> usize {
    OVERHEAD
        + event.key().as_str().len()
        + match event {
            WatchEvent::Put { value, .. } => value.value.len(),
            WatchEvent::Delete { .. } => 0,
        }
}
