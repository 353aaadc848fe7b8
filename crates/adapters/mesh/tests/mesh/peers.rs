#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
//! Real libp2p peers on loopback.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use univrs_mesh::discovery::{Options, Peers};
use univrs_ports::discovery::{Discovery, MeshEvent, Path, PeerView, PublishError, Topic};

use crate::support::{LIMIT, Roster, address, ask, key, node, options, own_host, peer, start, until};

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
    let event = timeout(LIMIT, events.recv()).await.unwrap().unwrap();
    assert!(matches!(event, MeshEvent::PeerConnected { node: who, .. } if who == node(2)));
    while let Ok(event) = events.try_recv() {
        let (MeshEvent::PeerConnected { node: who, .. } | MeshEvent::PeerDisconnected { node: who, .. }) =
            event
        else {
            panic!("nobody said anything")
        };
        assert_eq!(who, node(2), "strangers cause no events");
    }

    // It joins: nothing needs to be dialled again.
    roster.add(3);
    until("the newcomer being seen", LIMIT, || sees(&one, 3)).await;
    // It is removed, and so is its connection.
    roster.remove(3);
    until("the removed being forgotten", LIMIT, || views(&one).iter().all(|view| view.node != node(3))).await;
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
    // Subscriptions take a moment to be known, here and where it has to be passed on: it is called until it is heard.
    let message = timeout(LIMIT, async {
        loop {
            if let Err(error) = two.publish(Topic::Version, body.clone()).await {
                assert!(matches!(error, PublishError::Nobody(Topic::Version)), "{error}");
            }
            while let Ok(event) = timeout(Duration::from_millis(500), heard.recv()).await {
                if let MeshEvent::Message(message) = event.unwrap() {
                    return message;
                }
            }
        }
    })
    .await
    .unwrap();
    assert_eq!((message.topic, message.author, message.body), (Topic::Version, node(2), body));

    // Two signs with its own key and says that it is three.
    let mut heard = one.events();
    two.describe(Some(node(3)), None, None, None);
    let call = async |topic, body: serde_json::Value| {
        let called = async {
            while two.publish(topic, body.clone()).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(LIMIT, called).await.unwrap();
    };
    call(Topic::Credit, serde_json::json!({"to": "me"})).await;
    two.describe(Some(node(2)), None, None, None);
    call(Topic::Reputation, serde_json::json!("the truth")).await;
    let message = timeout(LIMIT, async {
        loop {
            // The calls of before may still be on their way.
            match heard.recv().await.unwrap() {
                MeshEvent::Message(message) if message.topic != Topic::Version => return message,
                _ => {}
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
        // A relay tells its clients where it is reached; on loopback nobody can find that out for it.
        let host = own_host();
        let port = std::net::UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap().port();
        let plain = format!("/ip4/{host}/udp/{port}/quic-v1");
        options.listen = vec![plain.clone()];
        options.external = vec![plain];
        options.relay = true;
        start(options, &roster).await
    };
    let through = address(&relay, "quic-v1");
    let hidden = {
        let mut options = options(2);
        options.listen = Vec::new();
        start(options, &roster).await
    };
    ask(&hidden, &through).await;
    let listens =
        || hidden.listening().borrow().iter().find(|address| address.contains("p2p-circuit")).cloned();
    let reserved = async {
        while listens().is_none() {
            // A busy machine may need more than one try.
            let _ = hidden.reserve(&through).await;
            let begun = tokio::time::Instant::now();
            while listens().is_none() && begun.elapsed() < Duration::from_secs(5) {
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    timeout(LIMIT, reserved).await.unwrap();
    let caller = {
        let mut options = options(3);
        options.listen = Vec::new();
        start(options, &roster).await
    };
    let circuit = async {
        while !(sees(&caller, 2) && sees(&hidden, 3)) {
            if let Some(at) = listens() {
                caller.dial(&key(2).peer(), &[at]).await;
            }
            let begun = tokio::time::Instant::now();
            while !(sees(&caller, 2) && sees(&hidden, 3)) && begun.elapsed() < Duration::from_secs(5) {
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    timeout(LIMIT, circuit).await.unwrap();
    let path = views(&caller).into_iter().find(|view| view.node == node(2)).and_then(|view| view.path);
    assert_eq!(path, Some(Path::Relayed));
    assert!(sees(&relay, 2), "the relay is a member like any other");
}
