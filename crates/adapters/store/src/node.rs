//! What the parts of an open store share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardToLeader, LinearizableReadError, RaftError};
use openraft::metrics::RaftMetrics;
use openraft::{Raft, ReadPolicy};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{ClusterId, Error, MemberId, Result};

use crate::directory::Directory;
use crate::machine::{Applied, StateMachine};
use crate::message::{Answer, Question};
use crate::network::{AskError, Peers};
use crate::types::Types;
use crate::wal;

/// Everything but the batcher's queue.
pub(crate) struct Core {
    pub(crate) raft: Raft<Types, StateMachine>,
    pub(crate) applied: Applied,
    pub(crate) wal: Arc<wal::Shared>,
    pub(crate) peers: Peers,
    pub(crate) member: MemberId,
    pub(crate) cluster: ClusterId,
    /// How long a request may take before it is unavailable.
    pub(crate) timeout: Duration,
    /// The term in which this node, as the leader, has taken over the leases. Zero: never.
    pub(crate) lease_term: AtomicU64,
    pub(crate) shutdown: CancellationToken,
    /// Gone when nothing writes to the directory any more.
    pub(crate) directory: Weak<Directory>,
}

/// Who leads, as far as this node knows.
pub(crate) enum Leader {
    /// This node.
    Here,
    /// Another one.
    At(MemberId, String),
    /// Nobody known.
    Unknown,
}

/// How long to wait before asking again who leads.
pub(crate) const LEADER_PAUSE: Duration = Duration::from_millis(30);
/// How often voters see to it that they are connected to each other.
const CONNECTED: Duration = Duration::from_secs(2);

impl Core {
    pub(crate) fn metrics(&self) -> RaftMetrics<Types> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// The leader by the newest metrics.
    pub(crate) fn leader(&self) -> Leader {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        match metrics.current_leader {
            Some(leader) if leader == self.member.0 => Leader::Here,
            Some(leader) => match metrics.membership_config.get_node(&leader) {
                Some(node) => Leader::At(MemberId(leader), node.addr.clone()),
                None => Leader::Unknown,
            },
            None => Leader::Unknown,
        }
    }

    /// Asks the leader for as long as it leads. One that died without a word would be waited for to the end of the
    /// patience, long after the others have chosen another.
    pub(crate) async fn ask_leader(
        &self,
        leader: MemberId,
        address: &str,
        question: Question,
        patience: Duration,
    ) -> Result<Answer, AskError> {
        tokio::select! {
            biased;
            answer = self.peers.ask(leader, address, question, patience) => answer,
            () = self.until_deposed(leader) => Err(AskError::Deposed),
        }
    }

    /// Returns when this node no longer takes that member for the leader.
    async fn until_deposed(&self, leader: MemberId) {
        let mut metrics = self.raft.server_metrics();
        loop {
            let leads = metrics.borrow_and_update().current_leader == Some(leader.0);
            // An error is the end of the store, and then nobody leads.
            if !leads || metrics.changed().await.is_err() {
                return;
            }
        }
    }

    /// Keeps a connection to every other voter: followers have nothing to say to each other until they elect, and an
    /// election must not begin with the greetings of new connections, which take several round trips.
    pub(crate) async fn stay_connected(&self) {
        let mut tick = tokio::time::interval(CONNECTED);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            let membership = Arc::clone(&self.raft.server_metrics().borrow_watched().membership_config);
            let others: Vec<(MemberId, String)> = membership
                .voter_ids()
                .filter(|voter| *voter != self.member.0)
                .filter_map(|voter| Some((MemberId(voter), membership.get_node(&voter)?.addr.clone())))
                .collect();
            let asked = others
                .iter()
                .map(|(voter, address)| self.peers.ask(*voter, address, Question::SupportedLevel, CONNECTED));
            // Who does not answer is asked again; elections tell who is dead.
            let _answers = self.shutdown.run_until_cancelled(futures::future::join_all(asked)).await;
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shutdown.is_cancelled() || self.raft.metrics().borrow_watched().running_state.is_err()
    }

    /// The entry that must be applied before a linearizable read, by asking a quorum. Leader only.
    pub(crate) async fn read_index_here(&self, policy: ReadPolicy) -> Result<u64> {
        match self.raft.get_read_linearizer(policy).await {
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(not_leader(&forward))
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Err(Error::Unavailable { reason: "no quorum answered", may_have_committed: false })
            }
            Err(RaftError::Fatal(_)) => Err(Error::Closed),
        }
    }

    /// Waits until everything acknowledged before the call is applied here.
    pub(crate) async fn linearize(&self) -> Result<()> {
        self.linearize_within(self.timeout).await
    }

    /// The same with a patience of its own.
    pub(crate) async fn linearize_within(&self, patience: Duration) -> Result<()> {
        let work = async {
            loop {
                let index = match self.leader() {
                    Leader::Here => self.read_index_here(ReadPolicy::ReadIndex).await,
                    Leader::At(leader, address) => {
                        match self.ask_leader(leader, &address, Question::ReadIndex, self.timeout).await {
                            Ok(Answer::ReadIndex(index)) => Ok(index),
                            Err(AskError::Refused(error)) => Err(error),
                            Ok(_) | Err(_) => Err(Error::NotLeader { leader: None }),
                        }
                    }
                    Leader::Unknown => Err(Error::NotLeader { leader: None }),
                };
                match index {
                    Ok(index) => return self.wait_applied(index).await,
                    Err(error) if error.is_retryable() && !self.is_closed() => {
                        tokio::time::sleep(LEADER_PAUSE).await;
                    }
                    Err(_) if self.is_closed() => return Err(Error::Closed),
                    Err(error) => return Err(error),
                }
            }
        };
        tokio::time::timeout(patience, work).await.unwrap_or(Err(Error::Unavailable {
            reason: "no leader with a quorum was found in time",
            may_have_committed: false,
        }))
    }

    async fn wait_applied(&self, index: u64) -> Result<()> {
        let mut applied = self.applied.index.subscribe();
        tokio::select! {
            reached = applied.wait_for(|applied| *applied >= index) => reached.map(|_| ()).map_err(|_| Error::Closed),
            () = self.shutdown.cancelled() => Err(Error::Closed),
        }
    }
}

pub(crate) fn not_leader(forward: &ForwardToLeader<Types>) -> Error {
    Error::NotLeader { leader: forward.leader_id.map(MemberId) }
}

/// The store's word for a failed proposal.
pub(crate) fn write_error(error: RaftError<Types, ClientWriteError<Types>>) -> Error {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => not_leader(&forward),
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
            Error::Unavailable { reason: "the leader changed while writing", may_have_committed: true }
        }
        RaftError::APIError(other) => Error::Membership { reason: other.to_string() },
        RaftError::Fatal(_) => Error::Closed,
    }
}
