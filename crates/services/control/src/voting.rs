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
use univrs_model::member::Member;
use univrs_ports::store::{ClusterAdmin, ClusterStatus, Error, Member as Known, MemberId, Role};
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
        for change in copies(state.members.values().map(|record| &**record), &status.members) {
            match change {
                Copying::Begin(id, member) => {
                    tracing::info!(node = %member.name, "a node gets a copy of the state");
                    self.admin.add_learner(id, member.node.to_string()).await?;
                }
                Copying::End(id, member) => {
                    tracing::info!(node = %member.name, "a removed node no longer replicates the state");
                    self.admin.remove(id).await?;
                    // Who votes is another question now.
                    return Ok(());
                }
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

/// One change of who has a copy of the state.
#[derive(Debug, PartialEq)]
enum Copying<'a> {
    /// A member that has none gets one, or the one that it has is found by its id from now on.
    Begin(MemberId, &'a Member),
    /// A removed member has none any more.
    End(MemberId, &'a Member),
}

/// Who gets a copy and who loses it, in this order: first who left, and those who may vote before those who may not. A
/// cluster that many join at once shall not hang on its first member alone for longer than it must.
fn copies<'a>(members: impl Iterator<Item = &'a Member>, known: &[Known]) -> Vec<Copying<'a>> {
    let mut wanted: Vec<Copying<'a>> = Vec::new();
    for member in members {
        let Some(id) = member.member.map(MemberId) else { continue };
        match (known.iter().find(|known| known.id == id), member.removed_at.is_some()) {
            (Some(_), true) => wanted.push(Copying::End(id, member)),
            (None, true) => {}
            (Some(known), false) if known.address == member.node.as_str() => {}
            (_, false) => wanted.push(Copying::Begin(id, member)),
        }
    }
    wanted.sort_by_key(|change| match change {
        Copying::End(..) => 0,
        Copying::Begin(_, member) if member.may_vote() => 1,
        Copying::Begin(..) => 2,
    });
    wanted
}

#[cfg(test)]
mod tests {
    use univrs_model::Timestamp;
    use univrs_model::node::{Location, Role as NodeRole};

    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::from_bits(number.into())
    }

    fn member(number: u64, copy: bool, role: NodeRole, removed: bool) -> Member {
        Member {
            node: node(number),
            name: "one".parse().unwrap(),
            member: copy.then_some(number),
            roles: vec![role],
            location: Location::default(),
            public_key: String::new(),
            address: None,
            block: None,
            joined_at: Timestamp::UNIX_EPOCH,
            removed_at: removed.then_some(Timestamp::UNIX_EPOCH),
        }
    }

    fn known(number: u64, address: String) -> Known {
        Known { id: MemberId(number), address, role: Role::Learner, matched: None }
    }

    #[test]
    fn who_left_goes_first_and_who_may_vote_comes_first() {
        let members = [
            member(1, true, NodeRole::Validator, false),
            member(2, true, NodeRole::Business, false),
            member(3, true, NodeRole::Validator, false),
            member(4, false, NodeRole::Slim, false),
            member(5, true, NodeRole::Business, true),
            member(6, true, NodeRole::Validator, true),
            member(7, true, NodeRole::Validator, false),
        ];
        let all =
            [known(1, node(1).to_string()), known(5, node(5).to_string()), known(7, "elsewhere".to_owned())];
        let begin = |number, at: usize| Copying::Begin(MemberId(number), &members[at]);
        assert_eq!(
            copies(members.iter(), &all),
            [Copying::End(MemberId(5), &members[4]), begin(3, 2), begin(7, 6), begin(2, 1),]
        );
        let whole: Vec<Known> = [1, 2, 3, 7].map(|number| known(number, node(number).to_string())).into();
        assert_eq!(copies(members.iter(), &whole), []);
    }
}
