#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
//! Gossip over real QUIC sockets on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use univrs_mesh::members::channel::Channel;
use univrs_mesh::members::quic::QuicChannel;
use univrs_mesh::members::{Gossip, Options, Pace};
use univrs_ports::membership::{Facts, Membership, Standing};

use crate::support::{Authority, LIMIT, cluster, node, until};

#[tokio::test]
async fn short_and_long_messages_arrive_and_are_answered_where_they_came_from() {
    let authority = Authority::new();
    let (one, two) = (authority.channel(&node(1)), authority.channel(&node(2)));
    for size in [1, 1000, 5000, 60_000] {
        let message = Bytes::from(vec![7; size]);
        let from = until_heard(&one, two.address().unwrap(), &two, &message).await;
        assert_eq!(from, one.address().unwrap(), "the socket that dials is the one that listens");
        until_heard(&two, from, &one, &message).await;
    }
}

/// Sends until the message arrives: each may be lost. Tells where it came from.
async fn until_heard(
    sender: &QuicChannel,
    to: SocketAddr,
    receiver: &QuicChannel,
    message: &Bytes,
) -> SocketAddr {
    let arrives = async {
        loop {
            sender.send(to, message.clone());
            while let Ok(Some((from, heard))) = timeout(Duration::from_millis(200), receiver.recv()).await {
                if heard == *message {
                    return from;
                }
            }
        }
    };
    timeout(LIMIT, arrives).await.unwrap()
}

#[tokio::test]
async fn a_stranger_is_not_heard_and_hears_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (member, stranger) = (authority.channel(&node(1)), other.channel(&node(2)));
    stranger.send(member.address().unwrap(), Bytes::from_static(b"hello"));
    member.send(stranger.address().unwrap(), Bytes::from_static(b"hello"));
    let wait = Duration::from_secs(1);
    assert!(timeout(wait, member.recv()).await.is_err(), "a certificate of another authority was accepted");
    assert!(timeout(wait, stranger.recv()).await.is_err());
    // The member goes on as if nothing had happened.
    let friend = authority.channel(&node(3));
    until_heard(&friend, member.address().unwrap(), &member, &Bytes::from_static(b"friend")).await;
}

#[tokio::test]
async fn a_flood_is_cut_and_does_not_end_the_conversation() {
    let authority = Authority::new();
    let (one, two) = (authority.channel(&node(1)), authority.channel(&node(2)));
    let to = two.address().unwrap();
    // They have met: what follows is only cut, not lost before.
    until_heard(&one, to, &two, &Bytes::from_static(b"hello")).await;
    let (mut sent, mut heard) = (0_u32, 0_u32);
    let start = std::time::Instant::now();
    while sent < 12_000 {
        for _ in 0..8 {
            one.send(to, Bytes::from_static(b"flood"));
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        while timeout(Duration::ZERO, two.recv()).await.is_ok() {
            heard += 1;
        }
    }
    // Four hundred in each second that was begun, however many those were.
    let most = 400 * (u32::try_from(start.elapsed().as_secs()).unwrap() + 2);
    assert!(heard > 0 && heard <= most, "{heard} of {sent} messages were heard, of which {most} may be");
    until_heard(&one, to, &two, &Bytes::from_static(b"still here")).await;
}

#[tokio::test]
async fn nodes_gossip_over_it_and_notice_a_death() {
    let authority = Authority::new();
    let mut gossips = Vec::new();
    let mut seeds = Vec::new();
    for index in 0..4 {
        let channel = authority.channel(&node(index));
        let address = channel.address().unwrap();
        let options = Options {
            node: node(index),
            incarnation: 1,
            cluster: cluster(),
            domain: String::new(),
            address,
            seeds: seeds.clone(),
            facts: Facts { load: u32::from(index), ..Facts::default() },
            pace: Pace::default(),
        };
        seeds.truncate(1);
        seeds.push(address);
        gossips.push(Gossip::start(options, Arc::new(channel)).await.unwrap());
    }
    until("four nodes meeting", LIMIT, || gossips.iter().all(|gossip| gossip.members().borrow().len() == 4))
        .await;
    drop(gossips.pop());
    let silent = |gossip: &Gossip| gossip.members().borrow()[&node(3)].standing != Standing::Live;
    until("a death being noticed", LIMIT, || gossips.iter().all(silent)).await;
}
