//! The network as one node sees it, and what must be told when it changes. Nothing here waits or sends.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use univrs_model::ids::NodeId;
use univrs_model::peer::{Link, OverlayPath, PeerStatus};

/// Round trips that differ less than this, in microseconds, are the same to anybody who looks at them …
const NEAR: u64 = 300;
/// … and so are those that differ by less than one part in so many.
const PART: u64 = 8;

/// Other nodes and the connections between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NetworkView {
    pub(super) peers: BTreeMap<NodeId, PeerStatus>,
    /// By who tells, and of whom.
    pub(super) links: BTreeMap<(NodeId, NodeId), Link>,
}

impl NetworkView {
    /// What `own` sees: its own connections, and those that others told of theirs.
    pub(super) fn new(own: Option<&NodeId>, peers: Vec<PeerStatus>, told: Vec<Link>) -> Self {
        let mut links: BTreeMap<(NodeId, NodeId), Link> = told
            .into_iter()
            .filter(|link| Some(&link.from) != own)
            .map(|link| ((link.from.clone(), link.to.clone()), link))
            .collect();
        for peer in &peers {
            let Some(own) = own.filter(|_| peer.connected || peer.overlay.is_some()) else { continue };
            let link = Link {
                from: own.clone(),
                to: peer.node.clone(),
                path: peer.path.filter(|_| peer.connected),
                rtt_us: peer.rtt_us.filter(|_| peer.connected),
                overlay: peer.overlay.clone(),
            };
            links.insert((link.from.clone(), link.to.clone()), link);
        }
        Self { peers: peers.into_iter().map(|peer| (peer.node.clone(), peer)).collect(), links }
    }

    /// The same without the small changes of round trips since `before`.
    pub(super) fn settled(mut self, before: &Self) -> Self {
        for (node, peer) in &mut self.peers {
            let Some(before) = before.peers.get(node) else { continue };
            settle(&mut peer.rtt_us, before.rtt_us);
            settle_overlay(peer.overlay.as_mut(), before.overlay.as_ref());
        }
        for (ends, link) in &mut self.links {
            let Some(before) = before.links.get(ends) else { continue };
            settle(&mut link.rtt_us, before.rtt_us);
            settle_overlay(link.overlay.as_mut(), before.overlay.as_ref());
        }
        self
    }

    /// What turns `before` into this, in the order in which it is to be told.
    pub(super) fn changes(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let gone = before.links.iter().filter(|(ends, _)| !self.links.contains_key(ends));
        changes.extend(gone.map(|(_, link)| Change::LinkGone(link.from.clone(), link.to.clone())));
        let gone = before.peers.keys().filter(|node| !self.peers.contains_key(node));
        changes.extend(gone.cloned().map(Change::PeerGone));
        let new = self.peers.iter().filter(|(node, peer)| before.peers.get(node) != Some(peer));
        changes.extend(new.map(|(_, peer)| Change::Peer(Box::new(peer.clone()))));
        let new = self.links.iter().filter(|(ends, link)| before.links.get(ends) != Some(link));
        changes.extend(new.map(|(_, link)| Change::Link(link.clone())));
        changes
    }
}

/// One change of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A node is new, or something about it is.
    Peer(Box<PeerStatus>),
    /// A node is not in the list any more.
    PeerGone(NodeId),
    /// A connection is new, or something about it is.
    Link(Link),
    /// A connection is gone: from, to.
    LinkGone(NodeId, NodeId),
}

impl Change {
    /// Whether it is about connections.
    pub(super) const fn of_links(&self) -> bool {
        matches!(self, Self::Link(_) | Self::LinkGone(..))
    }

    /// Its type and data as they are sent.
    pub(super) fn told(&self) -> (&'static str, Value) {
        match self {
            Self::Peer(peer) => ("peer", json!(peer)),
            Self::PeerGone(node) => ("peer_gone", json!({ "node": node })),
            Self::Link(link) => ("link", json!(link)),
            Self::LinkGone(from, to) => ("link_gone", json!({ "from": from, "to": to })),
        }
    }
}

fn settle(now: &mut Option<u64>, before: Option<u64>) {
    if let (Some(was), Some(is)) = (before, *now)
        && is.abs_diff(was) < NEAR.max(was / PART)
    {
        *now = before;
    }
}

fn settle_overlay(now: Option<&mut OverlayPath>, before: Option<&OverlayPath>) {
    let (Some(now), Some(before)) = (now, before) else { return };
    let mut rtt_us = now.rtt_us.map(u64::from);
    settle(&mut rtt_us, before.rtt_us.map(u64::from));
    now.rtt_us = rtt_us.and_then(|rtt| u32::try_from(rtt).ok());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use univrs_model::peer::PeerPath;

    use super::*;

    fn node(index: u8) -> NodeId {
        NodeId::from_bits(index.into())
    }

    fn peer(index: u8, connected: bool, rtt_us: u64) -> PeerStatus {
        PeerStatus {
            node: node(index),
            name: None,
            standing: None,
            peer: None,
            connected,
            address: None,
            path: connected.then_some(PeerPath::Direct),
            rtt_us: connected.then_some(rtt_us),
            version: None,
            cloud: None,
            region: None,
            roles: Vec::new(),
            capacity: None,
            load: None,
            overlay: None,
        }
    }

    fn link(from: u8, to: u8, rtt_us: u64) -> Link {
        let (from, to, path) = (node(from), node(to), Some(PeerPath::Direct));
        Link { from, to, path, rtt_us: Some(rtt_us), overlay: None }
    }

    fn view(peers: Vec<PeerStatus>, told: Vec<Link>) -> NetworkView {
        NetworkView::new(Some(&node(0)), peers, told)
    }

    #[test]
    fn own_connections_are_links_and_others_are_believed_about_theirs_only() {
        let seen = view(vec![peer(1, true, 900), peer(2, false, 0)], vec![link(1, 2, 700), link(0, 2, 1)]);
        let links: Vec<&Link> = seen.links.values().collect();
        assert_eq!(links, [&link(0, 1, 900), &link(1, 2, 700)], "nobody else tells of this node's");
        assert_eq!(NetworkView::new(None, vec![peer(1, true, 900)], Vec::new()).links.len(), 0);
    }

    #[test]
    fn small_changes_of_round_trips_are_not_told_and_do_not_add_up_unseen() {
        let mut shown = view(vec![peer(1, true, 10_000)], Vec::new());
        let mut told = 0;
        for rtt in (10_000..20_000).step_by(100) {
            let now = view(vec![peer(1, true, rtt)], Vec::new()).settled(&shown);
            told += now.changes(&shown).len();
            shown = now;
            assert!(rtt.abs_diff(shown.peers[&node(1)].rtt_us.unwrap()) < 2500, "{rtt}");
        }
        assert!((6..=14).contains(&told), "{told} changes for a round trip that doubled slowly");
    }

    fn views() -> impl Strategy<Value = NetworkView> {
        let peers = prop::collection::btree_map(1_u8..6, (any::<bool>(), 0_u64..5000), 0..5);
        let links = prop::collection::btree_map((1_u8..6, 1_u8..6), 0_u64..5000, 0..8);
        (peers, links).prop_map(|(peers, links)| {
            let peers = peers.into_iter().map(|(index, (connected, rtt))| peer(index, connected, rtt));
            let links = links.into_iter().map(|((from, to), rtt)| link(from, to, rtt));
            view(peers.collect(), links.collect())
        })
    }

    proptest! {
        /// Whoever applies the changes to what it was shown sees what the server sees.
        #[test]
        fn changes_lead_from_one_view_to_the_next(before in views(), after in views()) {
            let mut shown = before.clone();
            for change in after.changes(&before) {
                match change {
                    Change::Peer(peer) => { shown.peers.insert(peer.node.clone(), *peer); }
                    Change::PeerGone(node) => prop_assert!(shown.peers.remove(&node).is_some()),
                    Change::Link(link) => { shown.links.insert((link.from.clone(), link.to.clone()), link); }
                    Change::LinkGone(from, to) => prop_assert!(shown.links.remove(&(from, to)).is_some()),
                }
            }
            prop_assert_eq!(&shown, &after);
            prop_assert_eq!(after.changes(&after), []);
        }
    }
}
