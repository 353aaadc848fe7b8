#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
//! Real libp2p peers on loopback.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use univrs_mesh::discovery::{Options, Peers};
use univrs_ports::discovery::{Discovery, MeshEvent, Path, PeerView, PublishError, Topic};

use crate::support::{LIMIT, Roster, address, ask, key, node, options, peer, start, until};

fn views(peers: &Peers) -> Vec<PeerView> {
    peers.peers().borrow().to_vec()
}

fn sees(peers: &Peers, index: u8) -> bool {
    views(peers).iter().any(|view| view.node == node(index) && view.connected)
}

#[tokio::test]
async fn whoever_asks_learns_where_to_join_over_every_transport() {
    let roster = Roster::of(&[1]);
    let member = peer(1, &roster).await;
    let quic = address(&member, "quic-v1");
    let named = quic.replace("/ip4/127.0.0.1/", "/dns/localhost/");
    let unnamed = named.rsplit_once("/p2p/").unwrap().0.to_owned();
    for address in [quic, named, unnamed, address(&member, "tcp"), address(&member, "ws")] {
        let visitor = start(Options::visitor(key(9), "9.9.9"), &roster).await;
        let record = ask(&visitor, &address).await;
        assert_eq!(record.join.as_deref(), Some("127.0.0.1:9001"), "over {address}");
        assert_eq!(record.peer, key(1).peer());
        assert_eq!(views(&member), [], "a visitor is no member");
    }
    let visitor = start(Options::visitor(key(9), "9.9.9"), &roster).await;
    let error = visitor.ask("/ip4/127.0.0.1/udp/9/quic-v1").await.unwrap_err();
    assert!(error.contains("/ip4/127.0.0.1/udp/9/quic-v1"), "{error}");
    assert!(visitor.ask("localhost:9000").await.unwrap_err().contains("not a multiaddress"));
}

#[tokio::test]
async fn members_see_each_other_and_a_stranger_is_seen_by_nobody() {
    let roster = Roster::of(&[1, 2]);
    let (one, two) = (peer(1, &roster).await, peer(2, &roster).await);
    // Three claims to be a node that does not exist, four to be node one with a key of its own.
    let three = peer(3, &roster).await;
    let mut liar = options(4);
    liar.record.node = Some(node(1));
    let liar = start(liar, &roster).await;
    let mut events = one.events();
    for other in [&two, &three, &liar] {
        ask(other, &address(&one, "quic-v1")).await;
    }
    until("meeting", LIMIT, || sees(&one, 2) && sees(&two, 1)).await;
    sleep(Duration::from_millis(700)).await;
    assert_eq!(views(&one).iter().map(|view| view.node.clone()).collect::<Vec<_>>(), [node(2)]);
    let view = &views(&one)[0];
    assert_eq!((view.path, view.record.version.as_str()), (Some(Path::Direct), "1.2.3"));
    assert!(matches!(events.try_recv(), Ok(MeshEvent::PeerConnected { node: who, .. }) if who == node(2)));
    assert!(events.try_recv().is_err(), "strangers cause no events");

    // It joins: nothing needs to be dialled again.
    roster.add(3);
    until("the newcomer being seen", LIMIT, || sees(&one, 3)).await;
    // It is removed, and so is its connection.
    roster.remove(3);
    until("the removed being forgotten", LIMIT, || !sees(&one, 3)).await;
    assert!(views(&one).iter().all(|view| view.node != node(3)));
}

#[tokio::test]
async fn a_call_reaches_all_and_only_from_its_author() {
    let roster = Roster::of(&[1, 2, 3]);
    let (one, two, three) = (peer(1, &roster).await, peer(2, &roster).await, peer(3, &roster).await);
    for other in [&two, &three] {
        ask(other, &address(&one, "quic-v1")).await;
    }
    until("meeting", LIMIT, || sees(&two, 1) && sees(&three, 1)).await;
    let mut heard = three.events();
    let body = serde_json::json!({"version": "1.2.3"});
    // Subscriptions take a moment to be known; from then on the call is made.
    timeout(LIMIT, async {
        while let Err(error) = two.publish(Topic::Version, body.clone()).await {
            assert!(matches!(error, PublishError::Nobody(Topic::Version)), "{error}");
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    let message = timeout(LIMIT, async {
        loop {
            if let MeshEvent::Message(message) = heard.recv().await.unwrap() {
                return message;
            }
        }
    })
    .await
    .unwrap();
    assert_eq!((message.topic, message.author, message.body), (Topic::Version, node(2), body));

    // Two signs with its own key and says that it is three.
    let mut heard = one.events();
    two.describe(Some(node(3)), None, None, None);
    two.publish(Topic::Credit, serde_json::json!({"to": "me"})).await.unwrap();
    two.describe(Some(node(2)), None, None, None);
    two.publish(Topic::Reputation, serde_json::json!("the truth")).await.unwrap();
    let message = timeout(LIMIT, async {
        loop {
            if let MeshEvent::Message(message) = heard.recv().await.unwrap() {
                return message;
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(message.topic, Topic::Reputation, "a message of a wrong author was believed");

    let visitor = start(Options::visitor(key(9), "9.9.9"), &roster).await;
    let refused = visitor.publish(Topic::Announce, serde_json::Value::Null).await;
    assert!(matches!(refused, Err(PublishError::NotJoined)), "{refused:?}");
    let long = serde_json::Value::String("x".repeat(70_000));
    assert!(matches!(two.publish(Topic::Announce, long).await, Err(PublishError::TooLong { .. })));
}

#[tokio::test]
async fn a_peer_that_cannot_be_dialled_is_reached_through_a_member() {
    let roster = Roster::of(&[1, 2, 3]);
    let relay = {
        let mut options = options(1);
        options.relay = true;
        start(options, &roster).await
    };
    // A relay tells its clients where it is reached; on loopback nobody can find that out for it.
    let through = address(&relay, "quic-v1");
    relay.stop().await;
    let relay = {
        let mut options = options(1);
        let plain = through.rsplit_once("/p2p/").unwrap().0.to_owned();
        options.listen = vec![plain.clone()];
        options.external = vec![plain];
        options.relay = true;
        start(options, &roster).await
    };
    let hidden = {
        let mut options = options(2);
        options.listen = Vec::new();
        start(options, &roster).await
    };
    ask(&hidden, &through).await;
    hidden.reserve(&through).await.unwrap();
    let listens =
        || hidden.listening().borrow().iter().find(|address| address.contains("p2p-circuit")).cloned();
    until("a reservation", LIMIT, || listens().is_some()).await;
    let caller = {
        let mut options = options(3);
        options.listen = Vec::new();
        start(options, &roster).await
    };
    caller.dial(&key(2).peer(), &[listens().unwrap()]).await;
    until("the circuit", LIMIT, || sees(&caller, 2) && sees(&hidden, 3)).await;
    let path = views(&caller).into_iter().find(|view| view.node == node(2)).and_then(|view| view.path);
    assert_eq!(path, Some(Path::Relayed));
    assert!(sees(&relay, 2), "the relay is a member like any other");
}
