//! By which way each peer is reached: straight, through a hole that both make in routers between, or carried by a third
//! node. Pure; times are given.
//!
//! - **WAY-1** A peer that answers is left alone, whatever the way.
//! - **WAY-2** One that does not is looked for wherever somebody heard it, and where it said it is.
//! - **WAY-3** One that does not for [`GRACE`] is tried by way of others, one after the other, as long as it is silent.
//! - **WAY-4** A better way than a third node is looked for all the time, until one was found and failed: then not for
//!   [`REST`], and twice as long each next time, for a way that lets packets pass in one direction only would be found
//!   again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use univrs_model::ids::NodeId;

use crate::wire::Guess;

/// A peer that answered within this time is reached.
const ALIVE: Duration = Duration::from_secs(12);
/// How long a peer may be silent before it is tried by way of another.
const GRACE: Duration = Duration::from_secs(8);
/// How long each of those is tried: two handshakes.
const EACH: Duration = Duration::from_secs(11);
/// How long no better way is looked for after one has failed for the first time, and at most.
const REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(3600);
/// Addresses of one peer that are tried: what others say of it is not known to be true.
const PLACES: usize = 4;

/// A peer as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) node: NodeId,
    /// Where it says it is.
    pub(crate) stated: SocketAddr,
    /// Where packets to it go.
    pub(crate) endpoint: Option<SocketAddr>,
    /// Where others hear it, and who.
    pub(crate) heard: Vec<(NodeId, SocketAddr)>,
    /// How long ago keys were agreed on.
    pub(crate) handshake: Option<Duration>,
    /// How long ago an echo came back.
    pub(crate) echo: Option<Duration>,
}

impl Sight {
    fn answers(&self) -> bool {
        [self.handshake, self.echo].into_iter().flatten().any(|age| age < ALIVE)
    }

    /// Everywhere it may be.
    fn places(&self) -> Vec<SocketAddr> {
        let mut places = vec![self.stated];
        for (_, place) in &self.heard {
            if !places.contains(place) {
                places.push(*place);
            }
        }
        places.truncate(PLACES);
        places
    }
}

/// What is to be done about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) node: NodeId,
    /// Where its packets go from now on, if that changes.
    pub(crate) endpoint: Option<SocketAddr>,
    /// Where else handshakes go.
    pub(crate) guess: Option<Guess>,
}

/// How long peers have been silent.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    silent: BTreeMap<NodeId, Duration>,
    /// Peers that were carried and answered.
    carried: BTreeSet<NodeId>,
    /// Until when peers are left where they are, and how long that is.
    rest: BTreeMap<NodeId, (Duration, Duration)>,
}

impl Ways {
    /// What is to be done at `now`, a time that only grows.
    pub(crate) fn decide(&mut self, now: Duration, sights: &[Sight]) -> Vec<Turn> {
        let known = |node: &NodeId| sights.iter().any(|sight| sight.node == *node);
        self.silent.retain(|node, _| known(node));
        self.carried.retain(|node| known(node));
        self.rest.retain(|node, _| known(node));
        sights.iter().map(|sight| self.turn(now, sight, sights)).collect()
    }

    fn turn(&mut self, now: Duration, sight: &Sight, all: &[Sight]) -> Turn {
        let node = sight.node.clone();
        let places = sight.places();
        if sight.answers() {
            self.silent.remove(&node);
            let carried = carrier(sight, all).is_some();
            if carried {
                self.carried.insert(node.clone());
            }
            let rests = self.rest.get(&node).is_some_and(|(until, _)| now < *until);
            let guess = (carried && !rests).then_some(Guess { places, carried: true });
            return Turn { node, endpoint: None, guess };
        }
        let since = *self.silent.entry(node.clone()).or_insert(now);
        if self.carried.remove(&node) {
            let next = self.rest.get(&node).map_or(REST, |(_, rest)| (*rest * 2).min(LONGEST_REST));
            self.rest.insert(node.clone(), (now + next, next));
        }
        let endpoint = match now.saturating_sub(since).checked_sub(GRACE) {
            None => None,
            Some(tried) => {
                let carriers = carriers(sight, all);
                let turn = usize::try_from(tried.as_secs() / EACH.as_secs()).unwrap_or(0);
                let chosen = carriers.get(turn.checked_rem(carriers.len()).unwrap_or(0));
                Some(chosen.copied().unwrap_or(sight.stated)).filter(|chosen| sight.endpoint != Some(*chosen))
            }
        };
        Turn { node, endpoint, guess: Some(Guess { places, carried: false }) }
    }
}

/// Nodes that may carry packets to a peer, best first: they answer, by a way of their own. Those that hear it themselves
/// come first; the order is the same at both ends, so that both soon try the same.
fn carriers(sight: &Sight, all: &[Sight]) -> Vec<SocketAddr> {
    let able = all
        .iter()
        .filter(|other| other.node != sight.node && other.answers() && carrier(other, all).is_none());
    let mut able: Vec<(bool, &NodeId, SocketAddr)> = able
        .filter_map(|other| {
            let hears = sight.heard.iter().any(|(by, _)| *by == other.node);
            Some((!hears, &other.node, other.endpoint?))
        })
        .collect();
    able.sort_unstable();
    able.into_iter().map(|(_, _, endpoint)| endpoint).collect()
}

/// Who carries a peer's packets, if somebody does: the node that really is where they go.
pub(crate) fn carrier<'a>(sight: &Sight, all: &'a [Sight]) -> Option<&'a NodeId> {
    let endpoint = sight.endpoint?;
    if sight.places().contains(&endpoint) {
        return None;
    }
    // One that is there by its own word or others' comes before one that is carried there as well.
    let there = all.iter().filter(|other| other.node != sight.node && other.endpoint == Some(endpoint));
    there
        .filter(|other| {
            other.places().contains(&endpoint) || sight.heard.iter().any(|(by, _)| *by == other.node)
        })
        .map(|other| &other.node)
        .next()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use univrs_model::ids::NodeId;

    use super::{Sight, Ways, carrier};

    fn node(index: u8) -> NodeId {
        NodeId::from_bits(index.into())
    }

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 51820))
    }

    fn hole(last: u8) -> SocketAddr {
        SocketAddr::from(([203, 0, 113, last], 51820))
    }

    fn silent(index: u8) -> Sight {
        Sight {
            node: node(index),
            stated: at(index),
            endpoint: Some(at(index)),
            heard: Vec::new(),
            handshake: None,
            echo: None,
        }
    }

    fn answering(index: u8) -> Sight {
        Sight { echo: Some(Duration::from_secs(1)), ..silent(index) }
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_answers_is_left_alone() {
        let mut ways = Ways::default();
        for turn in ways.decide(seconds(100), &[answering(1), answering(2)]) {
            assert_eq!((turn.endpoint, turn.guess), (None, None));
        }
    }

    #[test]
    fn a_silent_peer_is_looked_for_where_it_was_heard_and_then_carried_by_one_after_the_other() {
        let mut ways = Ways::default();
        let lost = Sight { heard: vec![(node(3), hole(1))], ..silent(1) };
        let sights = [lost.clone(), answering(2), answering(3)];
        let first = &ways.decide(seconds(0), &sights)[0];
        assert_eq!(first.endpoint, None);
        assert_eq!(first.guess.as_ref().unwrap().places, [at(1), hole(1)]);
        assert!(!first.guess.as_ref().unwrap().carried);
        // Node 3 hears it, so it comes first.
        assert_eq!(ways.decide(seconds(9), &sights)[0].endpoint, Some(at(3)));
        assert_eq!(ways.decide(seconds(20), &sights)[0].endpoint, Some(at(2)));
        assert_eq!(ways.decide(seconds(31), &sights)[0].endpoint, Some(at(3)));
        // Carried, it answers: that stays, and a better way is looked for.
        let carried = Sight { endpoint: Some(at(3)), echo: Some(seconds(1)), ..lost };
        let sights = [carried, answering(2), answering(3)];
        assert_eq!(carrier(&sights[0], &sights), Some(&node(3)));
        let turn = &ways.decide(seconds(32), &sights)[0];
        assert_eq!(turn.endpoint, None);
        assert!(turn.guess.as_ref().unwrap().carried);
        // What was found is of no use: that one is left alone for a while once it is carried again.
        let lost = Sight { echo: None, ..sights[0].clone() };
        ways.decide(seconds(40), &[lost, answering(2), answering(3)]);
        assert_eq!(ways.decide(seconds(60), &sights)[0].guess, None);
        assert!(ways.decide(seconds(101), &sights)[0].guess.is_some());
        let lost = Sight { echo: None, ..sights[0].clone() };
        ways.decide(seconds(110), &[lost, answering(2), answering(3)]);
        assert_eq!(ways.decide(seconds(229), &sights)[0].guess, None, "twice as long");
        assert!(ways.decide(seconds(231), &sights)[0].guess.is_some());
    }

    #[test]
    fn nobody_is_carried_by_who_is_silent_or_carried() {
        let mut ways = Ways::default();
        let carried = Sight { endpoint: Some(at(4)), heard: vec![(node(4), hole(2))], ..answering(2) };
        let sights = [silent(1), carried, silent(3), silent(4)];
        ways.decide(seconds(0), &sights);
        assert_eq!(ways.decide(seconds(60), &sights)[0].endpoint, None, "there is nobody");
        // One that was tried by way of somebody who is gone goes straight again.
        let stuck = Sight { endpoint: Some(at(4)), ..silent(1) };
        let sights = [stuck, silent(4)];
        assert_eq!(ways.decide(seconds(90), &sights)[0].endpoint, Some(at(1)));
    }
}
