//! This node's place in the encrypted network: opened where containers have real addresses, fed from the state.
//! What it lacks degrades with a warning; containers of this node then reach only each other.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_cli::UpArgs;
use univrs_control::{Mirror, State};
use univrs_model::ids::NodeId;
use univrs_model::member::WireGuard;
use univrs_model::node::{Node, RuntimeKind};
use univrs_overlay::{Overlay, OverlayOptions, PeerSpec};
use univrs_ports::mesh::{Mesh, NoMesh};

use crate::identity::{DataDir, Identity};
use crate::up::parts::Machine;

/// Names of nodes are looked up again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long looking up a name may take.
const LOOKUP: Duration = Duration::from_secs(2);
/// Changes of the state that come together are one change here.
const TOGETHER: Duration = Duration::from_millis(50);

/// This node's place in the encrypted network.
pub(super) enum Place {
    /// It has one.
    In(Arc<Overlay>),
    /// It has none, for this reason.
    Out(String),
}

/// Opens the network. `address` is where other nodes reach this one.
pub(super) async fn open(
    args: &UpArgs,
    dir: &DataDir,
    identity: &Identity,
    machine: &Machine,
    cluster: &str,
    address: Option<&str>,
) -> Place {
    let real = matches!(machine.kind(), Some(RuntimeKind::Oci | RuntimeKind::Docker));
    let (Some(gateway), true) = (machine.gateway(), real) else {
        return Place::Out("it runs no containers with real addresses".to_owned());
    };
    let Ok(cluster) = cluster.parse::<Ipv4Net>() else {
        return Place::Out(format!("`{cluster}` is no range of addresses"));
    };
    let options = OverlayOptions {
        node: identity.node.clone(),
        key_file: dir.root().join("wireguard.key"),
        listen: args.wireguard,
        cluster,
        gateway,
        underlay: address.and_then(host).and_then(|host| host.parse::<IpAddr>().ok()),
    };
    match Overlay::open(options).await {
        Ok(overlay) => {
            tracing::info!(port = overlay.port(), mtu = overlay.mtu(), "in the encrypted network");
            Place::In(Arc::new(overlay))
        }
        Err(error) => {
            let reason = match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            tracing::warn!(
                reason,
                "containers of other nodes cannot be reached; give another --wireguard if the port is taken"
            );
            Place::Out(reason)
        }
    }
}

impl Place {
    /// What other nodes must know to reach this one's containers.
    pub(super) fn announced(&self) -> Option<WireGuard> {
        match self {
            Self::In(overlay) => {
                Some(WireGuard { public_key: overlay.public_key().to_owned(), port: overlay.port() })
            }
            Self::Out(_) => None,
        }
    }

    /// For those who look at it.
    pub(super) fn face(&self) -> Arc<dyn Mesh> {
        match self {
            Self::In(overlay) => Arc::clone(overlay) as _,
            Self::Out(reason) => Arc::new(NoMesh(reason.clone())),
        }
    }

    /// Keeps the peers what the state says.
    pub(super) fn follow(
        &self,
        node: NodeId,
        mirror: Mirror,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let Self::In(overlay) = self else { return };
        let [feeding, keeping, reaching] = [0; 3].map(|_| Arc::clone(overlay));
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(feed(feeding, node, mirror)));
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(async move { keeping.keep().await }));
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(async move { reaching.reach().await }));
    }
}

async fn feed(overlay: Arc<Overlay>, node: NodeId, mirror: Mirror) {
    let mut states = mirror.subscribe();
    let mut names: BTreeMap<String, IpAddr> = BTreeMap::new();
    let mut asked = tokio::time::Instant::now();
    loop {
        let candidates = candidates(&states.borrow_and_update(), &node);
        if asked.elapsed() > LOOK_AGAIN {
            names.clear();
            asked = tokio::time::Instant::now();
        }
        let mut peers = Vec::new();
        for candidate in candidates {
            let known = names.get(&candidate.host).copied();
            let address = match known {
                Some(address) => Some(address),
                None => look_up(&candidate.host).await,
            };
            if let Some(address) = address {
                names.insert(candidate.host, address);
                let endpoint = SocketAddr::new(address, candidate.port);
                let (node, public_key, block) = (candidate.node, candidate.public_key, candidate.block);
                peers.push(PeerSpec { node, public_key, endpoint, block });
            }
        }
        if let Err(error) = overlay.set_peers(peers).await {
            tracing::warn!(%error, "containers of some nodes may not be reached");
        }
        match tokio::time::timeout(LOOK_AGAIN, states.changed()).await {
            Ok(Err(_)) => return,
            Ok(Ok(())) => tokio::time::sleep(TOGETHER).await,
            Err(_) => {}
        }
    }
}

/// A node that could be a peer, before its host is looked up.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    node: NodeId,
    public_key: String,
    host: String,
    port: u16,
    block: Ipv4Net,
}

/// Every other node that has said how its containers are reached.
fn candidates(state: &State, me: &NodeId) -> Vec<Candidate> {
    state.nodes.values().filter(|node| node.id != *me).filter_map(|node| candidate(node)).collect()
}

fn candidate(node: &Node) -> Option<Candidate> {
    let wireguard = node.wireguard.as_ref()?;
    Some(Candidate {
        node: node.id.clone(),
        public_key: wireguard.public_key.clone(),
        host: host(node.address.as_deref()?)?.to_owned(),
        port: wireguard.port,
        block: node.block.as_deref()?.parse().ok()?,
    })
}

/// The host of `host:port`, without the brackets of IPv6.
fn host(address: &str) -> Option<&str> {
    let (host, _) = address.rsplit_once(':')?;
    Some(host.trim_start_matches('[').trim_end_matches(']'))
}

async fn look_up(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, 0))).await;
    found.ok()?.ok()?.next().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn hosts_lose_their_port_and_brackets() {
        assert_eq!(host("10.0.0.1:9443"), Some("10.0.0.1"));
        assert_eq!(host("[fd00::1]:9443"), Some("fd00::1"));
        assert_eq!(host("node.example:9443"), Some("node.example"));
        assert_eq!(host("nonsense"), None);
    }
}
