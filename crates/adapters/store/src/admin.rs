//! Changing the members at run time.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;
use openraft::impls::BasicNode;
use openraft::metrics::RaftMetrics;
use tokio::sync::watch;
use univrs_ports::store::{
    ClusterAdmin, ClusterStatus, Command, Error, Member, MemberId, Response, Result, Role,
    SUPPORTED_FEATURE_LEVEL,
};

use crate::message::{Answer, Question};
use crate::node::{Leader, write_error};
use crate::store::RaftStore;
use crate::types::{StoredMembership, Types};

/// A learner this close to the end of the log counts as caught up.
const CLOSE: u64 = 64;
/// How long to wait for another member's word.
const ASK: Duration = Duration::from_secs(2);

impl RaftStore {
    /// Whether this node leads, now and after each change.
    pub fn leading(&self) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(false);
        // Of the server, which change seldom: all metrics change with every write.
        let (mut metrics, member, shutdown) =
            (self.core.raft.server_metrics(), self.core.member.0, self.core.shutdown.clone());
        tokio::spawn(async move {
            loop {
                let leads = metrics.borrow_watched().current_leader == Some(member);
                sender.send_if_modified(|known| std::mem::replace(known, leads) != leads);
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = sender.closed() => return,
                    changed = metrics.changed() => if changed.is_err() { return },
                }
            }
        });
        receiver
    }

    fn must_lead(&self) -> Result<()> {
        match self.core.leader() {
            Leader::Here => Ok(()),
            Leader::At(leader, _) => Err(Error::NotLeader { leader: Some(leader) }),
            Leader::Unknown => Err(Error::NotLeader { leader: None }),
        }
    }

    /// The members and the last index, by the raft state itself: the metrics follow it a little later.
    async fn current(&self) -> Result<(Vec<Member>, u64)> {
        let state = self.core.raft.with_raft_state(|state| {
            let membership = StoredMembership::clone(state.membership_state.effective());
            (membership, state.log_ids.last().map_or(0, |log_id| log_id.index))
        });
        let (membership, last) = state.await.map_err(|_| Error::Closed)?;
        Ok((members(&membership, &self.core.metrics()), last))
    }

    async fn change(&self, change: ChangeMembers<u64, BasicNode>, retain: bool) -> Result<()> {
        let changed = self.core.raft.change_membership(change, retain).await;
        changed.map(|_| ()).map_err(write_error)
    }
}

/// The members with what the leader knows of their logs.
fn members(membership: &StoredMembership, metrics: &RaftMetrics<Types>) -> Vec<Member> {
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let matched = |id: &u64| metrics.replication.as_ref()?.get(id)?.as_ref().map(|log_id| log_id.index);
    let member = |(id, node): (&u64, &BasicNode)| Member {
        id: MemberId(*id),
        address: node.addr.clone(),
        role: if voters.contains(id) { Role::Voter } else { Role::Learner },
        matched: matched(id),
    };
    membership.nodes().map(member).collect()
}

#[async_trait]
impl ClusterAdmin for RaftStore {
    async fn members(&self) -> Result<Vec<Member>> {
        Ok(self.current().await?.0)
    }

    async fn add_learner(&self, id: MemberId, address: String) -> Result<()> {
        self.must_lead()?;
        let (known, _) = self.current().await?;
        if let Some(member) = known.iter().find(|member| member.id == id) {
            if member.address == address {
                return Ok(());
            }
            let node = BasicNode { addr: address };
            return self.change(ChangeMembers::SetNodes([(id.0, node)].into()), true).await;
        }
        let added = self.core.raft.add_learner(id.0, BasicNode { addr: address }, false).await;
        added.map(|_| ()).map_err(write_error)
    }

    async fn promote(&self, id: MemberId) -> Result<()> {
        self.must_lead()?;
        let (known, last) = self.current().await?;
        let Some(member) = known.iter().find(|member| member.id == id) else {
            return Err(Error::Membership { reason: format!("{id} is not a learner; add it first") });
        };
        if member.role == Role::Voter {
            return Ok(());
        }
        let behind = last.saturating_sub(member.matched.unwrap_or(0));
        if behind > CLOSE || member.matched.is_none() {
            return Err(Error::NotCaughtUp { member: id, behind });
        }
        self.change(ChangeMembers::AddVoterIds([id.0].into()), true).await
    }

    async fn set_voters(&self, voters: BTreeSet<MemberId>) -> Result<()> {
        self.must_lead()?;
        let (known, last) = self.current().await?;
        for id in &voters {
            let Some(member) = known.iter().find(|member| member.id == *id) else {
                return Err(Error::Membership { reason: format!("{id} is not a member; add it first") });
            };
            let behind = last.saturating_sub(member.matched.unwrap_or(0));
            if member.role != Role::Voter && (behind > CLOSE || member.matched.is_none()) {
                return Err(Error::NotCaughtUp { member: *id, behind });
            }
        }
        let voters = voters.into_iter().map(|id| id.0).collect();
        self.change(ChangeMembers::ReplaceAllVoters(voters), true).await
    }

    async fn remove(&self, id: MemberId) -> Result<()> {
        self.must_lead()?;
        let (known, _) = self.current().await?;
        match known.iter().find(|member| member.id == id).map(|member| member.role) {
            None => Ok(()),
            Some(Role::Learner) => self.change(ChangeMembers::RemoveNodes([id.0].into()), false).await,
            Some(Role::Voter) => self.change(ChangeMembers::RemoveVoters([id.0].into()), false).await,
        }
    }

    async fn transfer_leader(&self, to: MemberId) -> Result<()> {
        self.must_lead()?;
        let (known, _) = self.current().await?;
        if !known.iter().any(|member| member.id == to && member.role == Role::Voter) {
            return Err(Error::Membership { reason: format!("{to} is not a voter") });
        }
        self.core.raft.trigger().transfer_leader(to.0).await.map_err(|_| Error::Closed)?;
        let done =
            self.core.raft.wait(Some(self.core.timeout)).current_leader(to.0, "hand over the lead").await;
        done.map(|_| ()).map_err(|_| Error::Unavailable {
            reason: "the other member did not take the lead in time",
            may_have_committed: true,
        })
    }

    async fn raise_feature_level(&self, level: u32) -> Result<u32> {
        self.must_lead()?;
        if level > SUPPORTED_FEATURE_LEVEL {
            return Err(Error::FeatureLevel { needed: level, current: SUPPORTED_FEATURE_LEVEL });
        }
        let (known, _) = self.current().await?;
        for member in known.into_iter().filter(|member| member.id != self.core.member) {
            let asked = self.core.peers.ask(member.id, &member.address, Question::SupportedLevel, ASK).await;
            match asked {
                Ok(Answer::SupportedLevel(supported)) if supported >= level => {}
                Ok(Answer::SupportedLevel(current)) => {
                    return Err(Error::FeatureLevel { needed: level, current });
                }
                Ok(_) | Err(_) => {
                    return Err(Error::Membership { reason: format!("{} does not answer", member.id) });
                }
            }
        }
        match self.batcher.submit(Command::RaiseFeatureLevel { level }).await? {
            Response::FeatureLevel(level) => Ok(level),
            other => other.into_txn().map(|_| level),
        }
    }

    async fn status(&self) -> Result<ClusterStatus> {
        if self.core.is_closed() {
            return Err(Error::Closed);
        }
        let metrics = self.core.metrics();
        let (revision, feature_level) =
            self.core.applied.replica.read(|machine, _| (machine.revision(), machine.feature_level()));
        Ok(ClusterStatus {
            cluster_id: self.core.cluster,
            member: self.core.member,
            leader: metrics.current_leader.map(MemberId),
            term: metrics.current_term,
            last_log_index: metrics.last_log_index.unwrap_or(0),
            applied_index: metrics.last_applied.map_or(0, |log_id| log_id.index),
            snapshot_index: metrics.snapshot.map_or(0, |log_id| log_id.index),
            revision,
            feature_level,
            changing: metrics.membership_config.membership().get_joint_config().len() > 1,
            disk_full: self.core.wal.is_full(),
            disk_hangs: self.core.wal.hangs(),
            members: members(&metrics.membership_config, &metrics),
        })
    }
}
