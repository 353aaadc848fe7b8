//! Who was met: connections, what each peer says of itself, and whether it is believed.

use std::collections::{BTreeMap, HashMap};

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use univrs_model::ids::NodeId;
use univrs_ports::discovery::{Admission, MeshEvent, Path, PeerRecord, PeerView};

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) address: Multiaddr,
    pub(super) path: Path,
}

/// One peer.
#[derive(Debug, Default)]
struct Met {
    record: Option<PeerRecord>,
    /// The node it is, once admission says so.
    node: Option<NodeId>,
    lines: HashMap<ConnectionId, Line>,
    rtt_us: Option<u64>,
    /// Rounds of checking it has been connected without being admitted.
    waits: u32,
}

/// All that were met and are connected, and members that are not connected now.
#[derive(Debug, Default)]
pub(super) struct Book {
    met: HashMap<PeerId, Met>,
    /// Something else than a round trip is not as it was when it was last shown.
    changed: bool,
    /// A round trip is not.
    measured: bool,
}

impl Book {
    /// A new connection. Tells whether it is the first with this peer.
    pub(super) fn connected(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        line: Line,
    ) -> (bool, Option<MeshEvent>) {
        self.changed = true;
        let met = self.met.entry(peer).or_default();
        let first = met.lines.is_empty();
        let path = line.path;
        met.lines.insert(id, line);
        let event = met.node.clone().filter(|_| first).map(|node| MeshEvent::PeerConnected {
            node,
            peer: peer.to_string(),
            path,
        });
        (first, event)
    }

    /// A connection is gone.
    pub(super) fn disconnected(&mut self, peer: &PeerId, id: ConnectionId) -> Option<MeshEvent> {
        let met = self.met.get_mut(peer)?;
        self.changed = true;
        met.lines.remove(&id);
        if !met.lines.is_empty() {
            return None;
        }
        met.rtt_us = None;
        match met.node.clone() {
            Some(node) => Some(MeshEvent::PeerDisconnected { node, peer: peer.to_string() }),
            None => {
                self.met.remove(peer);
                None
            }
        }
    }

    /// Whether a peer, which says of itself that a third one carries its traffic, is connected in no plain way: by way of
    /// a third one or through a hole.
    pub(super) fn is_behind(&self, peer: &PeerId) -> bool {
        self.met.get(peer).is_some_and(|met| {
            let carried =
                |record: &PeerRecord| record.listen.iter().any(|listen| listen.contains("/p2p-circuit"));
            !met.lines.is_empty()
                && met.lines.values().all(|line| line.path != Path::Direct)
                && met.record.as_ref().is_none_or(carried)
        })
    }

    /// A connection came about through a hole that both sides made.
    pub(super) fn punched(&mut self, peer: &PeerId, id: ConnectionId) {
        if let Some(line) = self.met.get_mut(peer).and_then(|met| met.lines.get_mut(&id)) {
            line.path = Path::Punched;
            self.changed = true;
        }
    }

    /// A round trip was measured.
    pub(super) fn pinged(&mut self, peer: &PeerId, rtt_us: u64) {
        if let Some(met) = self.met.get_mut(peer) {
            self.measured |= met.rtt_us != Some(rtt_us);
            met.rtt_us = Some(rtt_us);
        }
    }

    /// What a connected peer says of itself; a record in another peer's name is not taken down.
    pub(super) fn introduced(
        &mut self,
        peer: &PeerId,
        record: PeerRecord,
        admission: &dyn Admission,
    ) -> Option<MeshEvent> {
        if record.peer != peer.to_string() {
            tracing::warn!(%peer, says = record.peer, "a peer introduced itself by another's name");
            return None;
        }
        let met = self.met.get_mut(peer).filter(|met| !met.lines.is_empty())?;
        self.changed = true;
        met.record = Some(record);
        // Whatever it was before, it is what it says now, if that is so.
        let before = met.node.take();
        let event = met.check(peer, admission);
        event.filter(|_| met.node != before)
    }

    /// Asks admission about everyone anew: a record may have arrived, another may have been taken back. Returns what
    /// changed and whom to disconnect: those no longer admitted, and strangers that have been here for `patience` rounds.
    pub(super) fn review(
        &mut self,
        admission: &dyn Admission,
        patience: u32,
    ) -> (Vec<MeshEvent>, Vec<PeerId>) {
        let (mut events, mut unwanted) = (Vec::new(), Vec::new());
        for (peer, met) in &mut self.met {
            if let Some(node) = met.node.clone() {
                if let Err(reason) = admission.admit(&peer.to_string(), &node) {
                    tracing::info!(%node, %peer, reason, "a peer is no longer a member");
                    met.node = None;
                    self.changed = true;
                    events.push(MeshEvent::PeerDisconnected { node, peer: peer.to_string() });
                    unwanted.push(*peer);
                }
            } else {
                events.extend(met.check(peer, admission));
                self.changed |= met.node.is_some();
                met.waits = if met.node.is_some() { 0 } else { met.waits + 1 };
                if met.waits > patience {
                    unwanted.push(*peer);
                }
            }
        }
        self.met.retain(|_, met| met.node.is_some() || !met.lines.is_empty());
        (events, unwanted)
    }

    /// Whether nobody is connected and nobody was met who may come back.
    pub(super) fn is_empty(&self) -> bool {
        self.met.is_empty()
    }

    /// Peers that are connected and not members.
    pub(super) fn strangers(&self) -> usize {
        self.met.values().filter(|met| met.node.is_none()).count()
    }

    /// Whether a peer is a member.
    pub(super) fn is_member(&self, peer: &PeerId) -> bool {
        self.met.get(peer).is_some_and(|met| met.node.is_some())
    }

    /// Everyone who is connected.
    pub(super) fn connected_peers(&self) -> impl Iterator<Item = &PeerId> {
        self.met.iter().filter(|(_, met)| !met.lines.is_empty()).map(|(peer, _)| peer)
    }

    /// Members as they are now, if they are not as they were last time. Among hundreds a round trip is new many times a
    /// second, and all are written down anew for one, so that alone it can wait until `round_trips` are asked for.
    pub(super) fn news(&mut self, round_trips: bool) -> Option<Vec<PeerView>> {
        let news = self.changed || (round_trips && self.measured);
        news.then(|| {
            (self.changed, self.measured) = (false, false);
            self.views()
        })
    }

    /// Members only, by node.
    pub(super) fn views(&self) -> Vec<PeerView> {
        let mut views: BTreeMap<&NodeId, PeerView> = BTreeMap::new();
        for (peer, met) in &self.met {
            let (Some(node), Some(record)) = (&met.node, &met.record) else { continue };
            // The best path is the one that counts, and among equals the same one each time.
            let line = met.lines.iter().min_by_key(|(id, line)| (line.path, **id)).map(|(_, line)| line);
            let view = PeerView {
                peer: peer.to_string(),
                node: node.clone(),
                connected: line.is_some(),
                address: line.map(|line| line.address.to_string()),
                path: line.map(|line| line.path),
                rtt_us: met.rtt_us,
                record: record.clone(),
            };
            // A node that changed its key may be known by both for a moment.
            match views.get(node) {
                Some(known) if known.connected && !view.connected => {}
                _ => {
                    views.insert(node, view);
                }
            }
        }
        views.into_values().collect()
    }
}

impl Met {
    fn check(&mut self, peer: &PeerId, admission: &dyn Admission) -> Option<MeshEvent> {
        let node = self.record.as_ref()?.node.clone()?;
        match admission.admit(&peer.to_string(), &node) {
            Ok(()) => {
                self.node = Some(node.clone());
                let path = self.lines.values().map(|line| line.path).min()?;
                Some(MeshEvent::PeerConnected { node, peer: peer.to_string(), path })
            }
            Err(reason) => {
                tracing::debug!(%peer, %node, reason, "a peer is not a member");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::swarm::ConnectionId;
    use libp2p::{Multiaddr, PeerId};
    use univrs_model::ids::NodeId;
    use univrs_ports::discovery::{Admission, Path, PeerRecord};

    use super::{Book, Line};

    struct Everyone;

    impl Admission for Everyone {
        fn admit(&self, _: &str, _: &NodeId) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn what_is_new_is_told_once_and_round_trips_when_they_are_asked_for() {
        let (mut book, peer, line) = (Book::default(), PeerId::random(), ConnectionId::new_unchecked(1));
        let rtt = |book: &mut Book, asked| book.news(asked).map(|views| views[0].rtt_us);
        assert_eq!(book.news(true), None, "nobody was met");
        book.connected(peer, line, Line { address: Multiaddr::empty(), path: Path::Direct });
        let record = PeerRecord {
            peer: peer.to_string(),
            node: Some(NodeId::from_bits(1)),
            cluster: None,
            version: String::new(),
            gossip: None,
            join: None,
            listen: Vec::new(),
        };
        book.introduced(&peer, record, &Everyone);
        assert_eq!(rtt(&mut book, false), Some(None), "a member is connected");
        assert_eq!(book.news(true), None);
        book.pinged(&peer, 300);
        assert_eq!(rtt(&mut book, false), None, "it can wait");
        assert_eq!(rtt(&mut book, true), Some(Some(300)));
        book.pinged(&peer, 300);
        assert_eq!(rtt(&mut book, true), None, "it takes as long as before");
        book.pinged(&peer, 400);
        book.punched(&peer, line);
        assert_eq!(rtt(&mut book, false), Some(Some(400)), "told beside another change");
        assert_eq!(rtt(&mut book, true), None);
        book.disconnected(&peer, line);
        assert_eq!(book.news(false).map(|views| views[0].connected), Some(false));
        assert_eq!(book.review(&Everyone, 1), (Vec::new(), Vec::new()));
        assert_eq!(book.news(true), None, "a review that finds nothing new");
    }
}
