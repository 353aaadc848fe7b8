//! Which peers are wanted, and what must change for the device to have them. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ipnet::Ipv4Net;
use univrs_model::ids::NodeId;

/// Another node as the state has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSpec {
    /// Which node.
    pub node: NodeId,
    /// Its public key in base64.
    pub public_key: String,
    /// Where it listens.
    pub endpoint: SocketAddr,
    /// Its block of the cluster's addresses: only packets from there are taken from it.
    pub block: Ipv4Net,
}

/// What must change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Peers that are gone or have another key.
    pub(crate) remove: Vec<PeerSpec>,
    /// Peers that are new or say something else.
    pub(crate) put: Vec<PeerSpec>,
}

/// What must change from `present` to `wanted`. A peer that stays as it is is not touched, so that its session and the
/// address it was last heard from stay.
pub(crate) fn change(present: &BTreeMap<NodeId, PeerSpec>, wanted: &BTreeMap<NodeId, PeerSpec>) -> Change {
    let gone = |known: &&PeerSpec| {
        wanted.get(&known.node).is_none_or(|wanted| wanted.public_key != known.public_key)
    };
    let new = |wanted: &&PeerSpec| present.get(&wanted.node) != Some(*wanted);
    Change {
        remove: present.values().filter(gone).cloned().collect(),
        put: wanted.values().filter(new).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use univrs_model::ids::NodeId;

    use super::{PeerSpec, change};

    fn peer(node: u128, key: &str, block: &str) -> PeerSpec {
        PeerSpec {
            node: NodeId::from_bits(node),
            public_key: key.to_owned(),
            endpoint: "10.0.0.1:51820".parse().unwrap(),
            block: block.parse().unwrap(),
        }
    }

    fn map(peers: &[PeerSpec]) -> BTreeMap<NodeId, PeerSpec> {
        peers.iter().map(|peer| (peer.node.clone(), peer.clone())).collect()
    }

    #[test]
    fn only_what_differs_is_touched() {
        let (a, b) = (peer(1, "a", "100.64.1.0/24"), peer(2, "b", "100.64.2.0/24"));
        let none = change(&map(&[a.clone(), b.clone()]), &map(&[b.clone(), a.clone()]));
        assert!(none.put.is_empty() && none.remove.is_empty());
        let moved = peer(2, "b", "100.64.9.0/24");
        let change_block = change(&map(&[a.clone(), b.clone()]), &map(&[a.clone(), moved.clone()]));
        assert_eq!((change_block.remove, change_block.put), (vec![], vec![moved]));
        let new_key = peer(2, "c", "100.64.2.0/24");
        let change_key = change(&map(std::slice::from_ref(&b)), &map(std::slice::from_ref(&new_key)));
        assert_eq!((change_key.remove, change_key.put), (vec![b.clone()], vec![new_key]));
        assert_eq!(change(&map(&[a.clone(), b.clone()]), &map(&[a])).remove, vec![b]);
    }
}
