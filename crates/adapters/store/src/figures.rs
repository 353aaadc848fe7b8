//! What the store measures of itself, for the metrics face.

use std::time::Duration;

use crate::store::RaftStore;

/// The store of one member at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Whether it leads.
    pub leads: bool,
    /// The election term.
    pub term: u64,
    /// Members, with and without a vote.
    pub members: usize,
    /// Those with a vote.
    pub voters: usize,
    /// The last entry of the log.
    pub last_index: u64,
    /// The last entry applied to the state.
    pub applied_index: u64,
    /// Syncs of the log to the disk since it was opened.
    pub syncs: u64,
    /// How long they took together.
    pub syncing: Duration,
    /// The log cannot be extended for want of space.
    pub disk_full: bool,
}

impl RaftStore {
    /// What is known without asking anyone.
    pub fn figures(&self) -> Figures {
        let metrics = self.core.metrics();
        let (syncs, syncing) = self.core.wal.syncs();
        Figures {
            leads: metrics.current_leader == Some(self.core.member.0),
            term: metrics.current_term,
            members: metrics.membership_config.nodes().count(),
            voters: metrics.membership_config.voter_ids().count(),
            last_index: metrics.last_log_index.unwrap_or(0),
            applied_index: metrics.last_applied.map_or(0, |log_id| log_id.index),
            syncs,
            syncing,
            disk_full: self.core.wal.is_full(),
        }
    }
}
