#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
//! Five nodes with real swarms and real gossip on loopback. Nobody is given a gossip address: what gossip knows, it
//! knows through the bridge.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use univrs_mesh::bridge::Bridge;
use univrs_mesh::discovery::Peers;
use univrs_mesh::members::{Gossip, Options, Pace};
use univrs_model::ids::NodeId;
use univrs_ports::discovery::Discovery;
use univrs_ports::membership::{Facts, Membership, Standing};

use crate::support::{Authority, LIMIT, Roster, address, ask, cluster, key, node, options, start, until};

struct Node {
    index: u8,
    gossip: Arc<Gossip>,
    peers: Arc<Peers>,
    _bridge: Bridge,
}

async fn raise(index: u8, authority: &Authority, roster: &Arc<Roster>) -> Node {
    let channel = authority.channel(&node(index));
    let gossip_address = channel.address().unwrap();
    let mut options = options(index);
    options.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".to_owned()];
    options.record.gossip = Some(gossip_address);
    let peers = Arc::new(start(options, roster).await);
    let facts =
        Facts { peer: Some(key(index).peer()), dial: peers.listening().borrow().clone(), ..Facts::default() };
    let options = Options {
        node: node(index),
        incarnation: 1,
        cluster: cluster(),
        domain: String::new(),
        address: gossip_address,
        seeds: Vec::new(),
        facts,
        pace: Pace::default(),
    };
    let gossip = Arc::new(Gossip::start(options, Arc::new(channel)).await.unwrap());
    let bridge = Bridge::start(node(index), gossip.clone(), peers.clone());
    Node { index, gossip, peers, _bridge: bridge }
}

impl Node {
    fn live(&self) -> Vec<NodeId> {
        let members = self.gossip.members();
        let members = members.borrow();
        let others = members.values().filter(|member| member.node != node(self.index));
        others.filter(|member| member.standing == Standing::Live).map(|member| member.node.clone()).collect()
    }

    fn met(&self) -> Vec<NodeId> {
        self.peers
            .peers()
            .borrow()
            .iter()
            .filter(|view| view.connected)
            .map(|view| view.node.clone())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_views_become_one_and_a_stranger_is_in_neither() {
    let authority = Authority::new();
    let roster = Roster::of(&[1, 2, 3, 4, 5]);
    let mut nodes = Vec::new();
    for index in 1..=5 {
        nodes.push(raise(index, &authority, &roster).await);
    }
    // A machine that has not joined: a key that no record names, and a certificate of another authority.
    let stranger = raise(6, &Authority::new(), &roster).await;
    let first = address(&nodes[0].peers, "quic-v1");
    // A chain of introductions: each knows only the first.
    for other in nodes[1..].iter().chain([&stranger]) {
        ask(&other.peers, &first).await;
    }
    until("both views becoming one", LIMIT, || {
        nodes.iter().all(|node| node.live().len() == 4 && node.met() == node.live())
    })
    .await;
    sleep(Duration::from_secs(1)).await;
    for member in &nodes {
        assert!(!member.live().contains(&node(6)) && !member.met().contains(&node(6)));
    }
    assert_eq!(stranger.live(), []);

    // Another joins by dialling one of them: everyone sees it in both views.
    drop(stranger);
    roster.add(7);
    let newcomer = raise(7, &authority, &roster).await;
    ask(&newcomer.peers, &first).await;
    let seen = |member: &Node| {
        let both = (member.live().contains(&node(7)), member.met().contains(&node(7)));
        both == (true, true)
    };
    until("a newcomer in both views", LIMIT, || nodes.iter().all(seen)).await;

    // One dies: it leaves both views of everyone.
    drop(newcomer);
    until("a death in both views", LIMIT, || {
        nodes.iter().all(|member| !member.live().contains(&node(7)) && !member.met().contains(&node(7)))
    })
    .await;
}
