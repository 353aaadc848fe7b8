//! One truth from two views. Gossip knows members, libp2p knows peers; what one knows the other is told.
//!
//! - **BRI-1** A peer that is admitted and connected, and not live in gossip, is introduced to gossip.
//! - **BRI-2** A live member that discovery has not met is dialled; a member that was met is dialled again only while
//!   fewer than [`Wish::degree`] are connected, so that a large cluster is no full mesh.
//! - **BRI-3** Nothing is ever done for a stranger, for this node itself, or for a member that is not live.
//!
//! [`reconcile`] is a pure function of both views, and [`Pacing`] keeps it from repeating itself too often.

mod run;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use univrs_model::ids::NodeId;
use univrs_ports::membership::{Member, Standing};

pub use run::Bridge;

/// A peer as discovery sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Its peer id.
    pub peer: String,
    /// The node it is; absent for a stranger.
    pub node: Option<NodeId>,
    /// Whether there is a connection.
    pub connected: bool,
    /// Where it receives gossip, as it says.
    pub gossip: Option<SocketAddr>,
}

/// What this node wants of the two views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// This node.
    pub own: NodeId,
    /// Connected members that are enough.
    pub degree: usize,
}

/// What brings the views together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Tell gossip where a node that joined can be reached.
    Introduce {
        /// Which node.
        node: NodeId,
        /// Where it receives gossip.
        address: SocketAddr,
    },
    /// Dial a member.
    Dial {
        /// Which node.
        node: NodeId,
        /// Its peer id.
        peer: String,
        /// At any of these.
        addresses: Vec<String>,
    },
}

impl Action {
    /// Whom it is about.
    pub const fn node(&self) -> &NodeId {
        match self {
            Self::Introduce { node, .. } | Self::Dial { node, .. } => node,
        }
    }
}

/// What is to be done so that both views become one; nothing when they are.
pub fn reconcile(wish: &Wish, members: &BTreeMap<NodeId, Member>, peers: &[Sight]) -> Vec<Action> {
    let live = |node: &NodeId| members.get(node).is_some_and(|member| member.standing == Standing::Live);
    let met: BTreeMap<&NodeId, &Sight> =
        peers.iter().filter_map(|sight| Some((sight.node.as_ref()?, sight))).collect();
    let connected = met.values().filter(|sight| sight.connected).count();
    let introduced = met.iter().filter(|(node, sight)| sight.connected && **node != &wish.own && !live(node));
    let introduce = introduced.filter_map(|(node, sight)| {
        Some(Action::Introduce { node: (*node).clone(), address: sight.gossip? })
    });
    let wanted =
        members.values().filter(|member| member.standing == Standing::Live && member.node != wish.own);
    let dial = wanted.filter_map(|member| {
        let known = met.get(&member.node);
        let needless = known.is_some_and(|sight| sight.connected || connected >= wish.degree);
        let peer = member.facts.peer.clone().filter(|_| !needless)?;
        Some(Action::Dial { node: member.node.clone(), peer, addresses: member.facts.dial.clone() })
    });
    introduce.chain(dial).collect()
}

/// The first repetition comes after this time, each next one after twice as long …
const FIRST: Duration = Duration::from_millis(400);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(60);

/// How often each action was tried in vain.
#[derive(Debug, Default)]
pub struct Pacing {
    tried: BTreeMap<Action, (u32, Duration)>,
}

impl Pacing {
    /// Those of `actions` that are due at `now`, a time that only grows. What is no longer asked for is forgotten.
    pub fn due(&mut self, now: Duration, actions: Vec<Action>) -> Vec<Action> {
        self.tried.retain(|action, _| actions.contains(action));
        actions
            .into_iter()
            .filter(|action| {
                let (times, next) = self.tried.entry(action.clone()).or_default();
                if now < *next {
                    return false;
                }
                *next = now + (FIRST * 2_u32.saturating_pow((*times).min(10))).min(LONGEST);
                *times += 1;
                true
            })
            .collect()
    }

    /// When the next repetition is due; never while nothing was tried in vain.
    pub fn next(&self) -> Option<Duration> {
        self.tried.values().map(|(_, next)| *next).min()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use univrs_ports::membership::Facts;

    use super::*;

    fn node(index: u8) -> NodeId {
        NodeId::from_bits(u128::from(index) * 7_919)
    }

    fn gossip_address(index: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, index], 9443))
    }

    fn member(index: u8, standing: Standing) -> Member {
        Member {
            node: node(index),
            incarnation: 1,
            address: gossip_address(index),
            facts: Arc::new(Facts {
                peer: Some(format!("peer-{index}")),
                dial: vec![format!("/ip4/10.0.0.{index}/udp/9000/quic-v1")],
                ..Facts::default()
            }),
            standing,
        }
    }

    fn sight(index: u8, stranger: bool, connected: bool) -> Sight {
        Sight {
            peer: format!("peer-{index}"),
            node: (!stranger).then(|| node(index)),
            connected,
            gossip: Some(gossip_address(index)),
        }
    }

    fn wish() -> Wish {
        Wish { own: node(0), degree: 3 }
    }

    fn views(members: &[Member]) -> BTreeMap<NodeId, Member> {
        members.iter().map(|member| (member.node.clone(), member.clone())).collect()
    }

    #[test]
    fn each_view_is_told_what_the_other_knows() {
        let members =
            views(&[member(0, Standing::Live), member(1, Standing::Live), member(2, Standing::Live)]);
        let peers = [sight(2, false, true), sight(3, false, true), sight(4, true, true)];
        let actions = reconcile(&wish(), &members, &peers);
        assert!(actions.contains(&Action::Introduce { node: node(3), address: gossip_address(3) }));
        assert!(actions.iter().any(|action| matches!(action, Action::Dial { peer, .. } if peer == "peer-1")));
        assert_eq!(actions.len(), 2, "{actions:?}");
    }

    #[test]
    fn the_silent_are_not_dialled_and_a_large_cluster_is_no_full_mesh() {
        let silent = [Standing::Suspected, Standing::Dead, Standing::Left];
        for standing in silent {
            assert_eq!(reconcile(&wish(), &views(&[member(1, standing)]), &[]), []);
        }
        let members: Vec<Member> = (1..=5).map(|index| member(index, Standing::Live)).collect();
        let mut peers: Vec<Sight> = (1..=5).map(|index| sight(index, false, index <= 3)).collect();
        assert_eq!(reconcile(&wish(), &views(&members), &peers), [], "three are enough, and all were met");
        peers[0].connected = false;
        assert_eq!(reconcile(&wish(), &views(&members), &peers).len(), 3);
    }

    #[test]
    fn what_is_in_vain_is_tried_less_and_less_often() {
        let action = Action::Introduce { node: node(1), address: gossip_address(1) };
        let mut pacing = Pacing::default();
        let mut times = Vec::new();
        for millis in (0..300_000).step_by(100) {
            if !pacing.due(Duration::from_millis(millis), vec![action.clone()]).is_empty() {
                times.push(millis);
            }
        }
        assert_eq!(times[..5], [0, 400, 1200, 2800, 6000]);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 60_000));
        assert!(pacing.next().is_some_and(|next| next > Duration::from_secs(299)));
        assert_eq!(pacing.due(Duration::from_secs(400), Vec::new()), []);
        assert_eq!(pacing.next(), None, "where nothing is to be done, nobody looks again");
        assert_eq!(
            pacing.due(Duration::from_secs(400), vec![action.clone()]),
            [action],
            "a new cause is no repetition"
        );
    }

    #[derive(Clone, Copy, Debug)]
    enum Kind {
        GossipOnly,
        PeerOnly,
        Both,
        Stranger,
        Silent,
    }

    fn kinds() -> impl Strategy<Value = Vec<Kind>> {
        let kind = prop_oneof![
            Just(Kind::GossipOnly),
            Just(Kind::PeerOnly),
            Just(Kind::Both),
            Just(Kind::Stranger),
            Just(Kind::Silent)
        ];
        prop::collection::vec(kind, 0..40)
    }

    proptest! {
        /// In a network without faults both views agree after one round, nothing is left to do, and no stranger and
        /// nobody silent is in either.
        #[test]
        fn both_views_become_one(kinds in kinds(), degree in 0_usize..50) {
            let wish = Wish { own: node(0), degree };
            let mut members = views(&[member(0, Standing::Live)]);
            let mut peers = Vec::new();
            for (index, kind) in (1_u8..).zip(&kinds) {
                match kind {
                    Kind::GossipOnly => { members.insert(node(index), member(index, Standing::Live)); }
                    Kind::PeerOnly => peers.push(sight(index, false, true)),
                    Kind::Both => {
                        members.insert(node(index), member(index, Standing::Live));
                        peers.push(sight(index, false, true));
                    }
                    Kind::Stranger => peers.push(sight(index, true, true)),
                    Kind::Silent => { members.insert(node(index), member(index, Standing::Dead)); }
                }
            }
            for action in reconcile(&wish, &members, &peers) {
                let index = (1_u8..=40).find(|index| &node(*index) == action.node()).unwrap();
                let kind = kinds[usize::from(index) - 1];
                match action {
                    Action::Introduce { node, .. } => {
                        prop_assert!(matches!(kind, Kind::PeerOnly), "{kind:?} was introduced");
                        members.insert(node, member(index, Standing::Live));
                    }
                    Action::Dial { .. } => {
                        prop_assert!(matches!(kind, Kind::GossipOnly), "{kind:?} was dialled");
                        peers.push(sight(index, false, true));
                    }
                }
            }
            prop_assert_eq!(reconcile(&wish, &members, &peers), []);
            let live: Vec<NodeId> = members
                .values()
                .filter(|member| member.standing == Standing::Live && member.node != wish.own)
                .map(|member| member.node.clone())
                .collect();
            let mut met: Vec<NodeId> = peers.iter().filter_map(|sight| sight.node.clone()).collect();
            met.sort();
            prop_assert_eq!(live, met);
        }
    }
}
