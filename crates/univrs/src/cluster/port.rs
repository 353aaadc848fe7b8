//! The port at which other nodes and machines that want to join come in.
//!
//! Nothing that anybody sends is looked at before the handshake; only so many handshakes run at once, in all and from
//! one address, and only so many connections of one node are open.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use univrs_agent::LocalNodeAccess;
use univrs_control::{Control, GuardedStore, LocalCertificates, LocalSecrets};
use univrs_image::ImageStore;
use univrs_model::ids::NodeId;
use univrs_model::member::holds_state;
use univrs_ports::store::{ClusterAdmin, ClusterId, MemberId, StateStore};
use univrs_store::RaftStore;
use univrs_store::wire::{Channel, Limits, MemberService, Services, StoreService};
use univrs_trust::Peer;
use univrs_trust::tls::{self, Arrival};

use crate::cluster::asking::Asking;
use crate::cluster::dial::NodeDial;
use crate::cluster::programs::NodePrograms;
use crate::cluster::service::ClusterService;
use crate::cluster::trust::Trust;
use crate::cluster::{forward, images, serve_reach, strangers};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections in all; above it, new ones are closed at once.
const MOST_CONNECTIONS: usize = 8192;
/// Handshakes under way and machines that join, from one address.
const MOST_STRANGERS: usize = 128;
/// Connections of one node.
const MOST_OF_A_NODE: usize = 512;

/// What comes in is served by these; what is not there yet comes while the node starts.
pub(crate) struct Offers {
    pub(crate) node: NodeId,
    pub(crate) cluster: ClusterId,
    pub(crate) trust: Arc<Trust>,
    pub(crate) dial: Arc<NodeDial>,
    pub(crate) asking: Arc<Asking>,
    /// The copy of the state, on a node that holds one.
    pub(crate) store: OnceLock<RaftStore>,
    /// The API, on validators: for requests that other nodes hand on.
    pub(crate) api: OnceLock<axum::Router>,
    /// The program of this node, and copies of others.
    pub(crate) programs: Arc<NodePrograms>,
    /// The images of this machine.
    pub(crate) images: OnceLock<Arc<ImageStore>>,
    /// What needs the picture of the state.
    pub(crate) late: OnceLock<Late>,
}

/// What can be served once the node has the picture of the state.
pub(crate) struct Late {
    pub(crate) control: Control,
    /// On validators.
    pub(crate) secrets: Option<Arc<LocalSecrets>>,
    /// On validators.
    pub(crate) certificates: Option<Arc<LocalCertificates>>,
    pub(crate) access: Arc<LocalNodeAccess>,
}

impl Offers {
    /// What a member may ask for.
    fn services(self: &Arc<Self>, peer: &Peer) -> Services {
        let member = self.store.get().map_or(MemberId(0), RaftStore::member_id);
        let asked = ClusterService::new(Arc::clone(self), peer.clone());
        let services =
            Services::new(self.cluster, member, Limits::default()).with(Channel::CLUSTER, Arc::new(asked));
        let Some(store) = self.store.get() else { return services };
        if holds_state(&peer.roles) {
            return services.with(Channel::MEMBERS, Arc::new(MemberService::new(store.peer_handler())));
        }
        let plain: Arc<dyn StateStore> = Arc::new(store.clone());
        let admin: Arc<dyn ClusterAdmin> = Arc::new(store.clone());
        let guarded = Arc::new(GuardedStore::new(plain, peer.node.clone()));
        services.with(Channel::STORE, Arc::new(StoreService::new(guarded, Some(admin))))
    }
}

/// Counts what is open for each key, and refuses above a bound.
struct Counts<K>(Mutex<HashMap<K, usize>>);

/// One of what is counted, until dropped.
struct Place<K: Eq + Hash + Clone> {
    counts: Arc<Counts<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> Counts<K> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    fn enter(self: &Arc<Self>, key: K, most: usize) -> Option<Place<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { counts: Arc::clone(self), key })
    }
}

impl<K: Eq + Hash + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

struct Bounds {
    all: Arc<Counts<()>>,
    strangers: Arc<Counts<IpAddr>>,
    nodes: Arc<Counts<NodeId>>,
}

/// Serves until `shutdown`.
pub(crate) async fn serve(listener: TcpListener, offers: Arc<Offers>, shutdown: CancellationToken) {
    let bounds = Arc::new(Bounds { all: Counts::new(), strangers: Counts::new(), nodes: Counts::new() });
    loop {
        let (stream, peer) = match shutdown.run_until_cancelled(listener.accept()).await {
            None => return,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                tracing::warn!(%error, "a connection of another node could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let all = bounds.all.enter((), MOST_CONNECTIONS);
        let stranger = bounds.strangers.enter(peer.ip(), MOST_STRANGERS);
        let (Some(all), Some(stranger)) = (all, stranger) else { continue };
        let (offers, bounds, shutdown) = (Arc::clone(&offers), Arc::clone(&bounds), shutdown.clone());
        tokio::spawn(async move {
            let arrived = arrive(stream, peer, offers, &bounds, stranger);
            if let Some(Err(reason)) = shutdown.run_until_cancelled(arrived).await {
                tracing::debug!(%peer, reason, "a connection of another node ended");
            }
            drop(all);
        });
    }
}

async fn arrive(
    stream: TcpStream,
    from: SocketAddr,
    offers: Arc<Offers>,
    bounds: &Bounds,
    stranger: Place<IpAddr>,
) -> Result<(), String> {
    let Some(config) = offers.trust.server() else {
        return Err("this node has no certificate yet".to_owned());
    };
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let shaken = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::info!(%from, %error, "refused a connection");
            return Ok(());
        }
        Err(_) => return Err("the handshake took too long".to_owned()),
    };
    match tls::arrival(stream.get_ref().1).map_err(|error| error.to_string())? {
        Arrival::Stranger => strangers::serve(stream, &offers).await.map_err(|error| error.to_string()),
        Arrival::Node(peer) => {
            drop(stranger);
            let place = node_place(bounds, &peer)?;
            let services = Arc::new(offers.services(&peer));
            let ended = answer(services, stream).await;
            drop(place);
            ended
        }
        Arrival::Api(peer) => {
            drop(stranger);
            let Some(api) = offers.api.get() else {
                return Err(format!(
                    "node {} hands on a request that this node does not answer yet",
                    peer.node
                ));
            };
            let place = node_place(bounds, &peer)?;
            let ended = forward::serve(stream, api.clone(), &peer).await;
            drop(place);
            ended
        }
        Arrival::Images(peer) => {
            drop(stranger);
            let place = node_place(bounds, &peer)?;
            let ended = images::serve(stream, &offers).await.map_err(|error| error.to_string());
            drop(place);
            ended
        }
        Arrival::Access(peer) => {
            drop(stranger);
            let place = node_place(bounds, &peer)?;
            let ended = serve_reach::serve(stream, &offers, &peer).await.map_err(|error| error.to_string());
            drop(place);
            ended
        }
    }
}

fn node_place(bounds: &Bounds, peer: &Peer) -> Result<Place<NodeId>, String> {
    let place = bounds.nodes.enter(peer.node.clone(), MOST_OF_A_NODE);
    place.ok_or_else(|| format!("node {} has too many connections", peer.node))
}

async fn answer(services: Arc<Services>, stream: TlsStream<TcpStream>) -> Result<(), String> {
    services.answer(stream).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn places_are_bounded_and_given_back() {
        let counts = Counts::new();
        let held: Vec<_> = (0..3).filter_map(|_| counts.enter("a", 2)).collect();
        assert_eq!(held.len(), 2);
        assert!(counts.enter("b", 2).is_some());
        drop(held);
        assert!(counts.enter("a", 2).is_some());
        assert!(counts.0.lock().unwrap().is_empty());
    }
}
