//! Real handshakes between nodes, strangers and impostors.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use univrs_model::Timestamp;
use univrs_model::ids::{ClusterId, NodeId};
use univrs_model::node::Role;
use univrs_model::span::Span;
use univrs_trust::tls::{Arrival, Everyone, Membership, answering, arrival, dialling, joining};
use univrs_trust::{Authority, Credentials, LEAF_LIFETIME, NodeKey, Peer, Subject};

fn now() -> Timestamp {
    Timestamp::now()
}

fn authority(number: u128) -> Authority {
    Authority::create(&ClusterId::from_bits(number), now()).unwrap()
}

fn member(authority: &Authority, node: u128, made: Timestamp) -> Credentials {
    let key = NodeKey::generate().unwrap();
    let subject = Subject { node: NodeId::from_bits(node), roles: vec![Role::Validator, Role::Slim] };
    let certificate = authority.issue(&key.request().unwrap(), &subject, made, LEAF_LIFETIME).unwrap();
    Credentials { key, certificate, authority: authority.certificate().clone() }
}

/// Both ends of a handshake: who came, as the server sees it, or why nobody did, as either end tells it.
async fn meet(client: ClientConfig, server: ServerConfig) -> Result<Arrival, String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let name = ServerName::try_from("node.univrs").unwrap();
    let dial = async {
        let mut stream =
            TlsConnector::from(Arc::new(client)).connect(name, near).await.map_err(|e| e.to_string())?;
        // With TLS 1.3 the server's refusal arrives with the first read.
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(())
    };
    let answer = async {
        let mut stream =
            TlsAcceptor::from(Arc::new(server)).accept(far).await.map_err(|error| error.to_string())?;
        let came = arrival(stream.get_ref().1).map_err(|error| error.to_string())?;
        stream.write_all(b"!").await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        Ok::<_, String>(came)
    };
    let (dialled, answered) = tokio::join!(dial, answer);
    match (dialled, answered) {
        (Ok(()), Ok(came)) => Ok(came),
        (dialled, answered) => {
            Err(format!("{} / {}", dialled.err().unwrap_or_default(), answered.err().unwrap_or_default()))
        }
    }
}

fn everyone() -> Arc<dyn Membership> {
    Arc::new(Everyone)
}

#[tokio::test]
async fn members_know_each_other() {
    let authority = authority(1);
    let (a, b) = (member(&authority, 10, now()), member(&authority, 11, now()));
    let expect = Some(NodeId::from_bits(11));
    let came =
        meet(dialling(&a, expect, everyone()).unwrap(), answering(&b, everyone()).unwrap()).await.unwrap();
    let Arrival::Node(peer) = came else { panic!("{came:?}") };
    assert_eq!(
        (peer.node, peer.roles.as_slice()),
        (NodeId::from_bits(10), &[Role::Validator, Role::Slim][..])
    );
    assert_eq!(peer.cluster, ClusterId::from_bits(1));
}

#[tokio::test]
async fn impostors_are_refused() {
    let (ours, theirs) = (authority(1), authority(2));
    // The same cluster's name, made up by someone else.
    let forged = authority(1);
    let home = member(&ours, 10, now());
    let server = || answering(&home, everyone()).unwrap();
    for (what, who, expect, says) in [
        ("another cluster", member(&theirs, 11, now()), None, "UnknownIssuer"),
        ("a forged authority", member(&forged, 11, now()), None, ""),
        ("an expired one", member(&ours, 11, "2020-01-01T00:00:00Z".parse().unwrap()), None, "expired"),
        ("one that meant another", member(&ours, 11, now()), Some(NodeId::from_bits(12)), "answered where"),
    ] {
        let met = meet(dialling(&who, expect, everyone()).unwrap(), server()).await;
        let error = met.expect_err(what);
        assert!(error.contains(says), "{what}: {error}");
    }
    // A key that the certificate does not belong to.
    let mixed = Credentials { key: NodeKey::generate().unwrap(), ..member(&ours, 11, now()) };
    assert!(dialling(&mixed, None, everyone()).is_err());
}

/// Forgives expiry to one key, and refuses one node.
struct Remembered {
    key: Vec<u8>,
    revoked: NodeId,
}

impl Membership for Remembered {
    fn admit(&self, peer: &Peer, expired: bool) -> Result<(), String> {
        if peer.node == self.revoked {
            return Err(format!("node {} was removed from the cluster", peer.node));
        }
        if expired && peer.public_key != self.key { Err("expired and unknown".to_owned()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn membership_decides_over_the_expired_and_the_removed() {
    let authority = authority(1);
    let long_ago = "2020-01-01T00:00:00Z".parse().unwrap();
    let (home, sleeper, other) =
        (member(&authority, 10, now()), member(&authority, 11, long_ago), member(&authority, 12, long_ago));
    let removed = member(&authority, 13, now());
    let membership = || {
        Arc::new(Remembered { key: sleeper.key.public(), revoked: NodeId::from_bits(13) })
            as Arc<dyn Membership>
    };
    let met = async |who: &Credentials| {
        meet(dialling(who, None, everyone()).unwrap(), answering(&home, membership()).unwrap()).await
    };
    assert!(matches!(met(&sleeper).await, Ok(Arrival::Node(_))));
    assert!(met(&other).await.unwrap_err().contains("expired and unknown"));
    assert!(met(&removed).await.unwrap_err().contains("was removed"));
}

#[tokio::test]
async fn strangers_join_only_whom_their_token_names() {
    let (ours, theirs) = (authority(1), authority(2));
    let home = member(&ours, 10, now());
    let met = meet(joining(ours.fingerprint()).unwrap(), answering(&home, everyone()).unwrap()).await;
    assert_eq!(met.unwrap(), Arrival::Stranger);
    let met = meet(joining(theirs.fingerprint()).unwrap(), answering(&home, everyone()).unwrap()).await;
    assert!(met.unwrap_err().contains("another cluster than the join token"));
    // Someone who only shows our authority's certificate, without being signed by it.
    let liar = Credentials { authority: ours.certificate().clone(), ..member(&theirs, 10, now()) };
    let met = meet(joining(ours.fingerprint()).unwrap(), answering(&liar, everyone()).unwrap()).await;
    assert!(met.is_err());
    // A machine without a certificate that asks for the members' protocol.
    let mut nosy = joining(ours.fingerprint()).unwrap();
    nosy.alpn_protocols = vec![univrs_trust::tls::NODES.to_vec()];
    let met = meet(nosy, answering(&home, everyone()).unwrap()).await;
    assert!(met.unwrap_err().contains("no certificate was shown"));
}

#[test]
fn keys_and_authorities_survive_being_stored() {
    let authority = authority(1);
    let again =
        Authority::open(ClusterId::from_bits(1), authority.certificate().clone(), &authority.key()).unwrap();
    assert_eq!(again.fingerprint(), authority.fingerprint());
    let node = member(&again, 10, now());
    let key = NodeKey::from_der(&node.key.to_der()).unwrap();
    assert_eq!(key.public(), node.key.public());
    assert!(!format!("{node:?}").contains(&format!("{:?}", node.key.to_der()[..8].to_vec())));
    let peer = node.peer().unwrap();
    let life = peer.not_after.duration_since(peer.not_before);
    assert_eq!(node.renew_at().unwrap(), peer.not_before.checked_add(life / 3).unwrap());
    assert!(NodeKey::from_der(b"nonsense").is_err());
    let request = node.key.request().unwrap();
    let subject = Subject { node: NodeId::from_bits(1), roles: vec![] };
    let mut tampered = request.to_vec();
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    let minute = Span::seconds(60);
    assert!(authority.issue(&tampered.into(), &subject, now(), minute).is_err());
}
