//! This node among its peers: gossip over QUIC on the node port, discovery on its own port, and the bridge between
//! them. All of it is a view; a node without it is a member all the same, so what cannot start is said and left out.
//!
//! - [`admission`]: a peer is the node whose record holds its key.
//! - [`connect`]: a machine that has only the address of a peer learns where to join.
//! - [`telling`]: what this node says of itself, again and again.
//! - [`watching`]: how a node that falls silent is asked.

mod admission;
pub(crate) mod connect;
mod telling;
mod watching;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_api::Peers as Others;
use univrs_cli::UpArgs;
use univrs_control::{Mirror, ask_the_silent};
use univrs_mesh::bridge::Bridge;
use univrs_mesh::discovery::{self, PeerKey, Peers};
use univrs_mesh::members::quic::{Guard, QuicChannel, Tls};
use univrs_mesh::members::tiers::Tiers;
use univrs_mesh::members::{self, Pace};
use univrs_model::node::Node;
use univrs_ports::discovery::{Admission, Discovery, PeerRecord};
use univrs_ports::membership::Membership;
use univrs_ports::mesh::Mesh;
use univrs_trust::Peer;
use univrs_trust::tls::NODES;

use crate::cluster::dial::NodeDial;
use crate::cluster::trust::Trust;
use crate::failure::Failure;
use crate::identity::Identity;
use admission::ByRecord;

/// What gossip and discovery are made of and from.
pub(crate) struct Parts<'a> {
    pub(crate) args: &'a UpArgs,
    pub(crate) identity: &'a Identity,
    pub(crate) node: &'a Node,
    /// Where the node port really is; absent when it was taken.
    pub(crate) listening: Option<SocketAddr>,
    pub(crate) trust: &'a Arc<Trust>,
    pub(crate) dial: &'a Arc<NodeDial>,
    pub(crate) mirror: &'a Mirror,
    /// The encrypted network, which is told where nodes are heard.
    pub(crate) mesh: Arc<dyn Mesh>,
    pub(crate) tasks: &'a TaskTracker,
    pub(crate) shutdown: &'a CancellationToken,
}

/// This node's peer key, made when there is none.
pub(crate) fn key(path: &Path) -> Result<PeerKey, Failure> {
    let fail = |reason: String| Failure::DataDir { path: path.to_owned(), reason };
    let kept = univrs_seal::key_file::read(path).map_err(|error| fail(error.to_string()))?;
    let seed = match kept {
        Some(seed) => seed,
        None => univrs_seal::key_file::create(path).map_err(|error| fail(error.to_string()))?,
    };
    PeerKey::from_seed(*seed).map_err(fail)
}

/// Starts what can be started.
pub(crate) async fn start(parts: Parts<'_>, key: PeerKey) -> Others {
    let mut others = Others { own: Some(parts.node.id.clone()), membership: None, discovery: None };
    let gossip = gossip_address(parts.node).await;
    let facts = telling::facts(parts.node, parts.mirror, key.peer(), dialled_at(parts.args.port, parts.node));
    let tiers = match gossip {
        Some(address) => membership(&parts, address, facts).await,
        None => None,
    };
    if let Some(tiers) = &tiers {
        let (tiers, mirror) = (Arc::clone(tiers), parts.mirror.clone());
        parts.tasks.spawn(parts.shutdown.clone().run_until_cancelled_owned(telling::lay_out(tiers, mirror)));
    }
    let membership = tiers.map(|tiers| tiers as Arc<dyn Membership>);
    let discovery = discovery(&parts, key, gossip).await;
    if let Some(membership) = &membership {
        let told = telling::Telling {
            node: parts.node.clone(),
            mirror: parts.mirror.clone(),
            membership: Arc::clone(membership),
            discovery: discovery.clone(),
            port: parts.args.port,
            mesh: Arc::clone(&parts.mesh),
        };
        parts.tasks.spawn(parts.shutdown.clone().run_until_cancelled_owned(told.run()));
        let ask = Arc::new(watching::ByDialling(Arc::clone(parts.dial)));
        let watched = ask_the_silent(Arc::clone(membership), ask, parts.node.id.clone());
        parts.tasks.spawn(parts.shutdown.clone().run_until_cancelled_owned(watched));
    }
    if let Some(discovery) = &discovery {
        let greeted = connect::greet(Arc::clone(discovery), parts.args.connect.clone());
        parts.tasks.spawn(parts.shutdown.clone().run_until_cancelled_owned(greeted));
    }
    if let (Some(membership), Some(discovery)) = (&membership, &discovery) {
        let bridge = Bridge::start(parts.node.id.clone(), Arc::clone(membership), Arc::clone(discovery));
        let (stop, membership) = (parts.shutdown.clone(), Arc::clone(membership));
        parts.tasks.spawn(async move {
            stop.cancelled().await;
            drop(bridge);
            // Others need not wonder: it says goodbye.
            membership.leave().await;
        });
    }
    others.membership = membership;
    others.discovery = discovery;
    others
}

/// Where this node receives gossip, as others are told.
async fn gossip_address(node: &Node) -> Option<SocketAddr> {
    let address = node.address.as_deref()?;
    match tokio::net::lookup_host(address).await {
        Ok(mut found) => found.next(),
        Err(error) => {
            tracing::warn!(address, %error, "this node's own address is not found, so it takes no part in gossip; give another --advertise");
            None
        }
    }
}

async fn membership(
    parts: &Parts<'_>,
    address: SocketAddr,
    facts: univrs_ports::membership::Facts,
) -> Option<Arc<Tiers>> {
    let listening = parts.listening?;
    let degraded = |error: &dyn std::fmt::Display| {
        tracing::warn!(%address, %error, "this node takes no part in gossip: others notice its loss only when its lease ends");
    };
    let tls = tls(parts.trust).map_err(|error| degraded(&error)).ok()?;
    let guard: Guard =
        Arc::new(|certificate: &CertificateDer<'static>| Peer::of(certificate).ok().map(|peer| peer.node));
    let channel = QuicChannel::open(listening, tls, guard).map_err(|error| degraded(&error)).ok()?;
    let channel = Arc::new(channel);
    let renewing = telling::renew(Arc::clone(parts.trust), Arc::clone(&channel));
    parts.tasks.spawn(parts.shutdown.clone().run_until_cancelled_owned(renewing));
    let options = members::Options {
        node: parts.node.id.clone(),
        incarnation: u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(1),
        cluster: parts.identity.cluster.clone(),
        domain: String::new(),
        address,
        seeds: Vec::new(),
        facts,
        pace: Pace::default(),
    };
    let tiers = Tiers::start(options, channel).await.map_err(|error| degraded(&error)).ok()?;
    Some(Arc::new(tiers))
}

/// Both sides of TLS as they are now.
fn tls(trust: &Trust) -> std::io::Result<Tls> {
    let server = trust.server().ok_or_else(|| std::io::Error::other("this node has no certificate yet"))?;
    Ok(Tls { client: trust.client(None, NODES)?, server: (*server).clone() })
}

async fn discovery(
    parts: &Parts<'_>,
    key: PeerKey,
    gossip: Option<SocketAddr>,
) -> Option<Arc<dyn Discovery>> {
    let ip = parts.args.node_listen.ip();
    let options = discovery::Options {
        key,
        listen: discovery::listen_at(SocketAddr::new(ip, parts.args.port)),
        external: dialled_at(parts.args.port, parts.node),
        mdns: !ip.is_loopback(),
        relay: true,
        use_relays: true,
        record: PeerRecord {
            peer: String::new(),
            node: Some(parts.node.id.clone()),
            cluster: Some(parts.identity.cluster.clone()),
            version: parts.node.version.clone(),
            gossip,
            join: parts.node.address.clone(),
            listen: Vec::new(),
        },
    };
    let admission: Arc<dyn Admission> =
        Arc::new(ByRecord { mirror: parts.mirror.clone(), directory: Arc::clone(parts.trust.directory()) });
    match Peers::start(options, admission).await {
        Ok(peers) => Some(Arc::new(peers)),
        Err(error) => {
            let port = parts.args.port;
            tracing::warn!(port, %error, "this node has no peers and cannot be found by --connect; stop what has the port or give another --port");
            None
        }
    }
}

/// Addresses that others dial this node's peer at; none when its port is not known before it listens.
fn dialled_at(port: u16, node: &Node) -> Vec<String> {
    let host = node.address.as_deref().and_then(|address| address.rsplit_once(':')).map(|(host, _)| host);
    let Some(host) = host.filter(|_| port != 0) else { return Vec::new() };
    let host = host.trim_matches(['[', ']']);
    let name = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => "ip4",
        Ok(IpAddr::V6(_)) => "ip6",
        Err(_) => "dns",
    };
    vec![format!("/{name}/{host}/udp/{port}/quic-v1"), format!("/{name}/{host}/tcp/{port}")]
}

#[cfg(test)]
mod tests {
    use super::dialled_at;

    #[test]
    fn addresses_are_made_of_what_others_are_told() {
        let mut node: univrs_model::node::Node = serde_json::from_value(serde_json::json!({
            "id": "nd_222222222222", "name": "one", "roles": [], "runtime": null, "api_address": "", "version": "1",
            "location": {"cloud": "a", "region": "b", "zone": "c", "operator": "d"},
            "capacity": {"cpu": 1.0, "memory": 1, "disk": 1}, "created_at": "2026-01-01T00:00:00Z"
        }))
        .unwrap();
        assert_eq!(dialled_at(9000, &node), [""; 0]);
        for (address, wanted) in [
            ("10.0.0.7:9443", "/ip4/10.0.0.7/udp/9000/quic-v1"),
            ("[fd00::7]:9443", "/ip6/fd00::7/udp/9000/quic-v1"),
            ("bootstrap:9443", "/dns/bootstrap/udp/9000/quic-v1"),
        ] {
            node.address = Some(address.to_owned());
            assert_eq!(dialled_at(9000, &node)[0], wanted);
        }
        assert_eq!(dialled_at(0, &node), [""; 0]);
    }
}
