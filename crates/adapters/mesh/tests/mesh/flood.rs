#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
//! Those who want all for themselves: connections by the thousand, and calls without end. Others must not notice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};
use univrs_mesh::members::channel::Channel;
use univrs_mesh::members::quic::{ALPN, Tls};
use univrs_ports::discovery::{Discovery, MeshEvent, Topic};

use crate::support::{Authority, LIMIT, Roster, address, ask, key, node, options, peer, start, until};

/// Where the greedy one dials from; everyone else is at 127.0.0.1.
const GREEDY: [u8; 4] = [127, 0, 0, 9];

/// Whether the other end has not closed it.
fn open(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0; 64]) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_of_one_machine_leave_room_for_others() {
    let roster = Roster::of(&[1, 2]);
    let one = peer(1, &roster).await;
    let at = address(&one, "tcp");
    let port: u16 = at.split('/').nth(4).unwrap().parse().unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut held: Vec<TcpStream> = Vec::new();
    let mut made = 0;
    while made < 10_000 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((GREEDY, 0))).unwrap();
        // The kernel itself may refuse some of them.
        if let Ok(Ok(stream)) = timeout(LIMIT, socket.connect(to)).await {
            held.push(stream);
        }
        made += 1;
        if made % 100 == 0 {
            // How many are open meanwhile is the kernel's queue as much as ours.
            held.retain(open);
        }
    }
    until("all but a few being closed", LIMIT, || {
        held.retain(open);
        held.len() <= 16
    })
    .await;
    // A member, by each way in, while the greedy one still holds what it may.
    for at in [at, address(&one, "quic-v1")] {
        let two = start(options(2), &roster).await;
        ask(&two, &at).await;
        until("meeting", LIMIT, || {
            one.peers().borrow().iter().any(|view| view.node == node(2) && view.connected)
        })
        .await;
        two.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_handshakes_of_one_machine_leave_room_for_gossip() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (one, two) = (authority.channel(&node(1)), authority.channel(&node(2)));
    let to = one.address().unwrap();
    let Tls { mut client, .. } = other.tls(&node(3));
    client.alpn_protocols = vec![ALPN.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()));
    let greedy = quinn::Endpoint::client(SocketAddr::from((GREEDY, 0))).unwrap();
    let dials: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(greedy.connect_with(config.clone(), to, "univrs.node").unwrap()))
        .collect();
    let message = Bytes::from_static(b"a member");
    let heard = async {
        loop {
            two.send(to, message.clone());
            if let Ok(Some((_, heard))) = timeout(Duration::from_millis(200), one.recv()).await {
                assert_eq!(heard, message, "a stranger was heard");
                return;
            }
        }
    };
    timeout(LIMIT, heard).await.unwrap();
    dials.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn who_calls_without_end_is_heard_a_little_and_others_are_heard_as_ever() {
    let roster = Roster::of(&[1, 2, 3]);
    let (one, two, three) = (peer(1, &roster).await, peer(2, &roster).await, peer(3, &roster).await);
    let mut heard = one.events();
    for other in [&two, &three] {
        ask(other, &address(&one, "quic-v1")).await;
    }
    until("meeting", LIMIT, || one.peers().borrow().len() == 2).await;
    let begun = Instant::now();
    // Subscriptions take a moment to be known.
    let call = async |peers: &univrs_mesh::discovery::Peers, topic, number: u32| {
        while peers.publish(topic, number.into()).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    for number in 0..500 {
        timeout(LIMIT, call(&two, Topic::Workload, number)).await.unwrap();
    }
    timeout(LIMIT, call(&three, Topic::Version, 7)).await.unwrap();
    let mut of_two = 0_u64;
    let of_three = async {
        loop {
            match heard.recv().await {
                Ok(MeshEvent::Message(message)) if message.author == node(3) => return,
                Ok(MeshEvent::Message(_)) => of_two += 1,
                Ok(MeshEvent::PeerConnected { .. } | MeshEvent::PeerDisconnected { .. }) => {}
                Err(RecvError::Lagged(missed)) => of_two += missed,
                Err(RecvError::Closed) => panic!("nobody is heard any more"),
            }
        }
    };
    timeout(LIMIT, of_three).await.unwrap();
    let most = 60 + 5 * (begun.elapsed().as_secs() + 1);
    assert!(of_two <= most, "{of_two} calls of one author were believed, of which {most} may be");
    assert!(one.peers().borrow().iter().any(|view| view.peer == key(2).peer()), "it is no reason to part");
}
