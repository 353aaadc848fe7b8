//! Peers by libp2p: found by address, by others' knowledge or on the local network, reached through routers, and heard
//! by all. A peer is shown only while admission says that its key is the node's it claims to be.

mod behaviour;
mod book;
mod calls;
mod hello;
mod per_address;
mod reach;
mod task;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, SwarmBuilder, noise, tcp, yamux};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use univrs_model::ids::{ClusterId, NodeId};
use univrs_ports::discovery::{Admission, Discovery, MeshEvent, PeerRecord, PeerView, PublishError, Topic};

use behaviour::Behaviour;
use task::{Command, Task};

/// Commands that wait for the peer.
const QUEUE: usize = 256;
/// Events that a slow listener may be behind.
const EVENTS: usize = 1024;
/// A dial that takes longer has failed. A peer that tries whether another can be reached must know before the other
/// stops waiting for its word, which is after ten seconds.
const DIAL: Duration = Duration::from_secs(6);
/// An address that does not answer within this time does not answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A peer's own key: Ed25519, made once and kept.
#[derive(Clone)]
pub struct PeerKey(Keypair);

impl PeerKey {
    /// The key of a 32-byte seed, which the caller keeps secret.
    ///
    /// # Errors
    /// Never for 32 bytes; the library's reason otherwise.
    pub fn from_seed(mut seed: [u8; 32]) -> Result<Self, String> {
        Keypair::ed25519_from_bytes(&mut seed).map(Self).map_err(|error| error.to_string())
    }

    /// The peer id, which is the public key in libp2p's writing: this is what a membership record holds.
    pub fn peer(&self) -> String {
        self.0.public().to_peer_id().to_string()
    }
}

/// What is needed to take part.
#[derive(Clone)]
pub struct Options {
    /// This peer's key.
    pub key: PeerKey,
    /// Where to listen, as multiaddresses, see [`listen_at`].
    pub listen: Vec<String>,
    /// Addresses that others reach this peer at, where the machine itself does not know them.
    pub external: Vec<String>,
    /// Look for peers on the local network.
    pub mdns: bool,
    /// Carry the traffic of members that cannot reach each other.
    pub relay: bool,
    /// Ask members to carry this peer's traffic when they cannot reach it.
    pub use_relays: bool,
    /// What this peer says of itself. Its peer id and addresses are filled in.
    pub record: PeerRecord,
}

impl Options {
    /// A stranger that looks around: it listens nowhere and belongs to nothing.
    pub fn visitor(key: PeerKey, version: &str) -> Self {
        let record = PeerRecord {
            peer: String::new(),
            node: None,
            cluster: None,
            version: version.to_owned(),
            gossip: None,
            join: None,
            listen: Vec::new(),
        };
        Self {
            key,
            listen: Vec::new(),
            external: Vec::new(),
            mdns: false,
            relay: false,
            use_relays: false,
            record,
        }
    }
}

/// The usual addresses to listen at: QUIC and TCP on one port.
pub fn listen_at(address: SocketAddr) -> Vec<String> {
    let ip: Protocol<'_> = address.ip().into();
    let base = Multiaddr::empty().with(ip);
    let port = address.port();
    vec![
        base.clone().with(Protocol::Udp(port)).with(Protocol::QuicV1).to_string(),
        base.with(Protocol::Tcp(port)).to_string(),
    ]
}

/// Why discovery did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is not a multiaddress.
    #[error("`{0}` is not a multiaddress such as /dns/host/udp/9000/quic-v1")]
    Address(String),
    /// An address cannot be listened at.
    #[error("failed to listen for peers at {address}: {reason}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// A part of libp2p does not start.
    #[error("discovery did not start: {what}: {reason}")]
    Part {
        /// Which part.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

/// This node's peer. Dropping it ends it.
pub struct Peers {
    local: PeerId,
    commands: mpsc::Sender<Command>,
    record: Arc<Mutex<PeerRecord>>,
    peers: watch::Receiver<Arc<Vec<PeerView>>>,
    listening: watch::Receiver<Vec<String>>,
    events: broadcast::Sender<MeshEvent>,
    task: JoinHandle<()>,
}

impl Peers {
    /// Starts the peer.
    ///
    /// # Errors
    /// When it cannot listen at any address asked for.
    pub async fn start(options: Options, admission: Arc<dyn Admission>) -> Result<Self, StartError> {
        let Options { key, listen, external, mdns, relay, use_relays, mut record } = options;
        let listen = parse(&listen)?;
        let external = parse(&external)?;
        let part = |what, error: &dyn std::fmt::Display| StartError::Part { what, reason: error.to_string() };
        let mut swarm = SwarmBuilder::with_existing_identity(key.0.clone())
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
            .map_err(|error| part("noise", &error))?
            .with_quic()
            .with_dns()
            .map_err(|error| part("the name resolver", &error))?
            .with_websocket(noise::Config::new, yamux::Config::default)
            .await
            .map_err(|error| part("WebSocket", &error))?
            .with_relay_client(noise::Config::new, yamux::Config::default)
            .map_err(|error| part("the relay client", &error))?
            .with_behaviour(|key, client| Ok(Behaviour::new(key, client, mdns, relay)?))
            .map_err(|error| part("the behaviour", &error))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
            .with_connection_timeout(DIAL)
            .build();
        for address in listen {
            let refused = |error: &dyn std::fmt::Display| StartError::Listen {
                address: address.to_string(),
                reason: error.to_string(),
            };
            swarm.listen_on(address.clone()).map_err(|error| refused(&error))?;
        }
        for address in external {
            swarm.add_external_address(address);
        }
        let local = *swarm.local_peer_id();
        record.peer = local.to_string();
        let record = Arc::new(Mutex::new(record));
        let (commands, received) = mpsc::channel(QUEUE);
        let (show, peers) = watch::channel(Arc::default());
        let (heard, listening) = watch::channel(Vec::new());
        let (events, _) = broadcast::channel(EVENTS);
        let task = Task::new(swarm, admission, Arc::clone(&record), show, heard, events.clone(), use_relays);
        let task = tokio::spawn(task.run(received));
        Ok(Self { local, commands, record, peers, listening, events, task })
    }

    /// Says something new of this node to everyone connected, and to everyone from now on: it has joined, or moved.
    pub fn describe(
        &self,
        node: Option<NodeId>,
        cluster: Option<ClusterId>,
        gossip: Option<SocketAddr>,
        join: Option<String>,
    ) {
        {
            let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
            record.node = node;
            record.cluster = cluster;
            record.gossip = gossip;
            record.join = join;
        }
        if self.commands.try_send(Command::Introduce).is_err() {
            tracing::debug!("peers learn what is new of this node at the next connection");
        }
    }

    /// Addresses this peer listens at, with its peer id, and every change.
    pub fn listening(&self) -> watch::Receiver<Vec<String>> {
        self.listening.clone()
    }

    /// Lets the member at this address carry this peer's traffic: others reach it through there.
    ///
    /// # Errors
    /// When the address is none.
    pub async fn reserve(&self, relay: &str) -> Result<(), String> {
        let address: Multiaddr =
            relay.parse().map_err(|_| StartError::Address(relay.to_owned()).to_string())?;
        self.commands.send(Command::Reserve(address)).await.map_err(|_| "discovery has stopped".to_owned())
    }
}

impl Peers {
    /// Ends this peer and waits until its sockets are closed.
    pub async fn stop(mut self) {
        self.task.abort();
        // The task was told to end, so how it ended says nothing.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn parse(addresses: &[String]) -> Result<Vec<Multiaddr>, StartError> {
    addresses
        .iter()
        .map(|address| address.parse().map_err(|_| StartError::Address(address.clone())))
        .collect()
}

#[async_trait]
impl Discovery for Peers {
    fn local(&self) -> String {
        self.local.to_string()
    }

    fn carried_at(&self) -> Vec<String> {
        self.listening.borrow().iter().filter(|address| address.contains("/p2p-circuit")).cloned().collect()
    }

    fn peers(&self) -> watch::Receiver<Arc<Vec<PeerView>>> {
        self.peers.clone()
    }

    fn events(&self) -> broadcast::Receiver<MeshEvent> {
        self.events.subscribe()
    }

    async fn publish(&self, topic: Topic, body: serde_json::Value) -> Result<(), PublishError> {
        let stopped = || PublishError::Refused("it has stopped".to_owned());
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Publish { topic, body, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    async fn ask(&self, address: &str) -> Result<PeerRecord, String> {
        let target: Multiaddr =
            address.parse().map_err(|_| StartError::Address(address.to_owned()).to_string())?;
        let (reply, answer) = oneshot::channel();
        let stopped = || "discovery has stopped".to_owned();
        self.commands.send(Command::Ask { address: target, reply }).await.map_err(|_| stopped())?;
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(answer) => answer.map_err(|_| stopped())?.map_err(|reason| format!("{address}: {reason}")),
            Err(_) => Err(format!("nobody answered at {address} within {} seconds", ANSWER.as_secs())),
        }
    }

    async fn dial(&self, peer: &str, addresses: &[String]) {
        let Ok(peer) = peer.parse() else {
            tracing::warn!(peer, "a member's peer id cannot be read, so it is not dialled");
            return;
        };
        // Addresses come from others: what cannot be read is left out.
        let addresses = addresses.iter().filter_map(|address| address.parse().ok()).collect();
        if self.commands.send(Command::Dial { peer, addresses }).await.is_err() {
            tracing::debug!(%peer, "discovery has stopped, so nobody is dialled");
        }
    }
}
