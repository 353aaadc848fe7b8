//! What the log is asked to write, and how those who asked are answered.

use std::io;

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use crate::disk::copy_of;
use crate::types::{LogId, Types};

/// One thing to write.
pub(crate) enum Job {
    /// Entries, with index, ticket and payload each; the callback comes after the sync.
    Entries { entries: Vec<(u64, u64, Vec<u8>)>, done: IOFlushed<Types> },
    /// The vote; answered after the sync.
    Vote { payload: Vec<u8>, done: oneshot::Sender<io::Result<()>> },
    /// A hint that need not be synced.
    Committed { payload: Vec<u8> },
    /// Entries from an index on are gone.
    Truncate { from: u64 },
    /// Entries up to a log id are gone.
    Purge { upto: LogId },
}

impl Job {
    /// Bytes of its entries.
    pub(crate) fn size(&self) -> usize {
        match self {
            Job::Entries { entries, .. } => entries.iter().map(|(_, _, payload)| payload.len()).sum(),
            _ => 0,
        }
    }

    /// Says that it is safe.
    pub(crate) fn stored(self) {
        match self {
            Job::Entries { done, .. } => done.io_completed(Ok(())),
            Job::Vote { done, .. } => {
                let _receiver_gone = done.send(Ok(()));
            }
            Job::Committed { .. } | Job::Truncate { .. } | Job::Purge { .. } => {}
        }
    }

    pub(crate) fn fail(self, error: &io::Error) {
        let copy = copy_of(error);
        match self {
            Job::Entries { done, .. } => done.io_completed(Err(copy)),
            Job::Vote { done, .. } => {
                let _receiver_gone = done.send(Err(copy));
            }
            Job::Committed { .. } | Job::Truncate { .. } | Job::Purge { .. } => {}
        }
    }
}
