//! Keeps those who replicate the state in step with the members: adds copies, gives votes, removes who left.
//!
//! Runs on the leader. Who votes is decided by [`univrs_schedule::choose_voters`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use univrs_model::ids::NodeId;
use univrs_ports::store::{ClusterAdmin, ClusterStatus, Error, MemberId, Role};
use univrs_schedule::{Candidate, choose_voters};

use crate::mirror::Mirror;
use crate::state::State;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(500);
/// For how long a voter may be silent before another takes its place: a restart is shorter.
const PATIENCE: Duration = Duration::from_secs(20);
/// A copy this close to the end of the log counts as caught up.
const CLOSE: u64 = 64;

/// The loop.
pub struct Voting {
    admin: Arc<dyn ClusterAdmin>,
    mirror: Mirror,
    /// Since when members have not been heard.
    silent: BTreeMap<NodeId, Instant>,
    /// When the lead was last handed over for want of space: where all disks are full it does not go round in circles.
    handed_over: Option<Instant>,
    /// There is one member and nothing to be done: nobody can fall silent or catch up, so only a new picture matters.
    settled: bool,
}

impl Voting {
    /// A loop over these parts.
    pub fn new(admin: Arc<dyn ClusterAdmin>, mirror: Mirror) -> Self {
        Self { admin, mirror, silent: BTreeMap::new(), handed_over: None, settled: false }
    }

    /// Runs until `shutdown`, and acts while this node leads.
    pub async fn run(mut self, mut leading: watch::Receiver<bool>, shutdown: CancellationToken) {
        let mut due = tokio::time::interval(EVERY);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pictures = self.mirror.subscribe();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = leading.changed() => if changed.is_err() { return },
                changed = pictures.changed(), if self.settled => {
                    if changed.is_err() {
                        return;
                    }
                    // Looked at with the next tick, however many follow.
                    self.settled = false;
                    continue;
                }
                _ = due.tick(), if !self.settled => {}
            }
            pictures.mark_unchanged();
            self.settled = false;
            if !*leading.borrow() {
                self.silent.clear();
                continue;
            }
            match self.look().await {
                Ok(()) | Err(Error::NotLeader { .. } | Error::NotCaughtUp { .. }) => {}
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the members that replicate the state cannot be changed; trying again"
                ),
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let state = self.mirror.state();
        let Some(membership) = &state.membership else { return Ok(()) };
        self.listen(&state);
        let status = self.admin.status().await?;
        if let Some(next) = self.with_room(&state, &status) {
            tracing::warn!(
                to = next.0,
                hangs = status.disk_hangs,
                "the disk of this node takes in no more of the log; handing the lead over"
            );
            self.handed_over = Some(Instant::now());
            return self.admin.transfer_leader(next).await;
        }
        for member in state.members.values() {
            let Some(id) = member.member.map(MemberId) else { continue };
            let known = status.members.iter().find(|known| known.id == id);
            match known {
                Some(_) if member.removed_at.is_some() => {
                    tracing::info!(node = %member.name, "a removed node no longer replicates the state");
                    return self.admin.remove(id).await;
                }
                None if member.removed_at.is_none() => {
                    tracing::info!(node = %member.name, "a node gets a copy of the state");
                    return self.admin.add_learner(id, member.node.to_string()).await;
                }
                Some(known) if known.address != member.node.as_str() => {
                    return self.admin.add_learner(id, member.node.to_string()).await;
                }
                _ => {}
            }
        }
        let chosen = choose_voters(&self.candidates(&state, &status), membership.voters);
        let voters: BTreeSet<MemberId> = match chosen {
            Some(voters) => voters.into_iter().map(MemberId).collect(),
            // Whoever led before began a change and did not end it; until then both majorities are needed.
            None if status.changing => {
                let voters = status.members.iter().filter(|member| member.role == Role::Voter);
                voters.map(|member| member.id).collect()
            }
            None => {
                self.settled = state.members.len() == 1 && status.members.len() == 1;
                return Ok(());
            }
        };
        if let Some(next) = voters.first().filter(|_| !voters.contains(&status.member)) {
            // Whoever leads on makes the change, so that nobody votes itself out.
            let current = |id: &&MemberId| {
                status.members.iter().any(|member| member.id == **id && member.role == Role::Voter)
            };
            let next = *voters.iter().find(current).unwrap_or(next);
            return self.admin.transfer_leader(next).await;
        }
        tracing::info!(voters = ?voters.iter().map(|id| id.0).collect::<Vec<_>>(), "the voters change");
        self.admin.set_voters(voters).await
    }

    /// Notes since when whom has not been heard.
    fn listen(&mut self, state: &State) {
        let now = Instant::now();
        for node in state.members.keys() {
            if state.nodes_alive.contains(node) {
                self.silent.remove(node);
            } else {
                self.silent.entry(node.clone()).or_insert(now);
            }
        }
        self.silent.retain(|node, _| state.members.contains_key(node));
    }

    /// Who leads on when the log of this node cannot grow: a voter that is heard and has all of it. Whether its disk has
    /// room and answers, it finds out itself.
    fn with_room(&self, state: &State, status: &ClusterStatus) -> Option<MemberId> {
        let lately = self.handed_over.is_some_and(|at| at.elapsed() < PATIENCE);
        if !(status.disk_full || status.disk_hangs)
            || status.leader != Some(status.member)
            || status.changing
            || lately
        {
            return None;
        }
        let heard = |id: MemberId| {
            let mut members = state.members.values();
            members.any(|member| member.member == Some(id.0) && state.nodes_alive.contains(&member.node))
        };
        let others = status
            .members
            .iter()
            .filter(|member| member.role == Role::Voter && member.id != status.member && heard(member.id));
        others.max_by_key(|member| member.matched).map(|member| member.id)
    }

    fn candidates(&self, state: &State, status: &ClusterStatus) -> Vec<Candidate> {
        let members = state.members.values().filter(|member| member.may_vote());
        members
            .filter_map(|member| {
                let id = MemberId(member.member?);
                let known = status.members.iter().find(|known| known.id == id)?;
                let behind = known.matched.map(|matched| status.last_log_index.saturating_sub(matched));
                let alive = state.nodes_alive.contains(&member.node);
                let since = self.silent.get(&member.node);
                Some(Candidate {
                    member: id.0,
                    cloud: member.location.cloud.clone(),
                    region: member.location.region.clone(),
                    zone: member.location.zone.clone(),
                    votes: known.role == Role::Voter,
                    leads: id == status.member,
                    alive: id == status.member || since.is_none_or(|since| since.elapsed() < PATIENCE),
                    caught_up: alive && behind.is_some_and(|behind| behind <= CLOSE),
                })
            })
            .collect()
    }
}
