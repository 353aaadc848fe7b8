//! From gossip's states to members: which incarnation counts, and how long a silence has lasted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chitchat::{Chitchat, ChitchatId};
use tokio::time::Instant;
use univrs_model::ids::NodeId;
use univrs_ports::membership::{Facts, Member, Standing};

use super::facts::{self, LEFT};
use super::stall::Stall;

/// Facts as they were at a version of a state, so that nothing is read twice.
struct Heard {
    version: u64,
    facts: Option<(NodeId, Arc<Facts>)>,
    left: bool,
    /// Nodes of other domains, as this one says.
    others: Vec<Member>,
    /// Since when nothing is heard; absent while it is.
    silent: Option<Instant>,
}

/// What was seen so far.
pub(super) struct View {
    dead_after: Duration,
    stall: Stall,
    heard: HashMap<ChitchatId, Heard>,
}

impl View {
    /// It will be looked at `every` so often.
    pub(super) fn new(every: Duration, dead_after: Duration) -> Self {
        Self { dead_after, stall: Stall::new(every, dead_after), heard: HashMap::new() }
    }

    /// Nodes of other domains, as those say that are heard: the living by the word of one.
    pub(super) fn others(&self) -> BTreeMap<NodeId, Member> {
        let mut others: BTreeMap<NodeId, Member> = BTreeMap::new();
        let speakers = self.heard.values().filter(|heard| heard.silent.is_none() && !heard.left);
        for said in speakers.flat_map(|heard| &heard.others) {
            let order = |member: &Member| (member.incarnation, std::cmp::Reverse(member.standing));
            match others.get(&said.node) {
                Some(known) if order(known) >= order(said) => {}
                _ => {
                    others.insert(said.node.clone(), said.clone());
                }
            }
        }
        others
    }

    /// Whether no other was ever heard, or all who were are forgotten: nobody can fall silent.
    pub(super) fn is_alone(&self) -> bool {
        self.heard.len() <= 1
    }

    /// It is not looked at again before somebody is heard.
    pub(super) const fn rest(&mut self) {
        self.stall.rest();
    }

    /// Everyone who has been heard of at least once; whoever was silent from the start is not shown.
    pub(super) fn look(&mut self, gossip: &Chitchat, now: Instant) -> BTreeMap<NodeId, Member> {
        self.stall.look(now);
        let live: BTreeSet<&ChitchatId> = gossip.live_nodes().collect();
        let states = gossip.node_states();
        self.heard.retain(|id, _| states.contains_key(id));
        let mut members: BTreeMap<NodeId, Member> = BTreeMap::new();
        for (id, state) in states {
            let lives = live.contains(id);
            if !lives && !self.heard.contains_key(id) {
                continue;
            }
            let heard = self.heard.entry(id.clone()).or_insert(Heard {
                version: 0,
                facts: None,
                left: false,
                others: Vec::new(),
                silent: None,
            });
            if heard.version != state.max_version() {
                heard.version = state.max_version();
                heard.facts = facts::heard(state).map(|(node, facts)| (node, Arc::new(facts)));
                heard.left = state.contains_key(LEFT);
                heard.others = facts::others(state);
            }
            heard.silent = if lives { None } else { Some(heard.silent.unwrap_or(now)) };
            let Some((node, facts)) = &heard.facts else { continue };
            let standing = match heard.silent {
                _ if heard.left => Standing::Left,
                None => Standing::Live,
                Some(since) if self.stall.excuses(since, now) => Standing::Live,
                Some(since) if now.duration_since(since) >= self.dead_after => Standing::Dead,
                Some(_) => Standing::Suspected,
            };
            let member = Member {
                node: node.clone(),
                incarnation: id.generation_id,
                address: id.gossip_advertise_addr,
                facts: Arc::clone(facts),
                standing,
            };
            // Of several starts of one node the latest counts.
            match members.get(node) {
                Some(known) if known.incarnation > member.incarnation => {}
                _ => {
                    members.insert(node.clone(), member);
                }
            }
        }
        members
    }
}
