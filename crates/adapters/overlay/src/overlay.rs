//! The encrypted network of a node: device, peers, routes and echoes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gotatun::device::{Device, DeviceBuilder, Peer};
use gotatun::tun::tun_async_device::TunDevice;
use gotatun::x25519::PublicKey;
use ipnet::Ipv4Net;
use ipnetwork::{IpNetwork, Ipv4Network};
use tokio::net::UdpSocket;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use univrs_model::ids::NodeId;
use univrs_model::mesh::{MeshPath, MeshPeer, MeshView};
use univrs_ports::mesh::{Heard, Mesh};

use crate::carry::Mark;
use crate::error::{OverlayError, failed};
use crate::key::{public_from, public_text, read_or_make};
use crate::links::Links;
use crate::peers::{PeerSpec, change};
use crate::probe::Probe;
use crate::ways::{Sight, Ways, carrier};
use crate::wire::{Listener, Traffic};

/// What WireGuard adds to a packet at most: 40 bytes of IPv6, 8 of UDP, 32 of its own.
const OVERHEAD: u32 = 80;
/// The largest packet of an underlay that does not tell: Ethernet's.
const USUAL_MTU: u32 = 1500;
/// IPv6 asks for this much, and less would help nobody.
const LEAST_MTU: u32 = 1280;
/// Seconds between packets to a silent peer, so that a translator of addresses on the way remembers it.
const KEEP_ALIVE: u16 = 25;
/// How often it is seen to that interface and routes are there.
const CHECK: Duration = Duration::from_secs(10);
/// How often it is seen to that every peer is reached.
const LOOK: Duration = Duration::from_secs(1);
/// WireGuard refuses keys that are older than this, and whoever has packets to send renews them before.
const OLDEST_HANDSHAKE: Duration = Duration::from_secs(180);
/// The letters of the node's id that the interface's name carries.
const NODE_LETTERS: usize = 8;

/// How a node's encrypted network is set up.
#[derive(Clone, Debug)]
pub struct OverlayOptions {
    /// The node; the name of the interface carries its id.
    pub node: NodeId,
    /// The file of the private key.
    pub key_file: PathBuf,
    /// Where to listen over UDP; any address of this machine when it is unspecified.
    pub listen: SocketAddr,
    /// The cluster's range; no peer's block lies outside.
    pub cluster: Ipv4Net,
    /// The first address of the node's own block: the bridge's, where echoes are answered.
    pub gateway: Ipv4Addr,
    /// The address at which others reach this node, if it is one of this machine: its interface tells the largest packet.
    pub underlay: Option<IpAddr>,
}

/// The encrypted network of a node. Dropping it ends it: its interface belongs to the process.
pub struct Overlay {
    node: NodeId,
    name: String,
    device: Device<(Listener, TunDevice, TunDevice)>,
    public_key: String,
    port: u16,
    mtu: u32,
    links: Links,
    cluster: Ipv4Net,
    gateway: Ipv4Addr,
    probe: Arc<Probe>,
    traffic: Arc<Traffic>,
    peers: Mutex<BTreeMap<NodeId, PeerSpec>>,
    /// The peers are others.
    changed: Notify,
    /// Where nodes hear each other, as far as that is not where they say they are.
    heard: std::sync::Mutex<Vec<Heard>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Overlay {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Overlay {
    /// Makes the interface in the namespace of the calling thread, without peers yet.
    ///
    /// # Errors
    /// [`OverlayError::Port`] when the port is taken, the others as they say.
    pub async fn open(options: OverlayOptions) -> Result<Self, OverlayError> {
        let OverlayOptions { node, key_file, listen, cluster, gateway, underlay } = options;
        let key = read_or_make(&key_file)?;
        let own = PublicKey::from(&key);
        let public_key = public_text(&own);
        let traffic = Arc::new(Traffic::new(Mark::of(own.as_bytes())));
        // The library tells of a taken port late and in passing.
        let taken = |source| OverlayError::Port { address: listen, source };
        drop(UdpSocket::bind(listen).await.map_err(taken)?);
        let (links, connection) = Links::open()?;
        let mut tasks = vec![tokio::spawn(connection)];
        let below = links.underlay_mtu(underlay).await?.unwrap_or(USUAL_MTU);
        let mtu = below.saturating_sub(OVERHEAD).max(LEAST_MTU);
        let name = interface(&node);
        let device = DeviceBuilder::new()
            .with_udp(Listener { address: listen.ip(), traffic: Arc::clone(&traffic) })
            .create_tun(&name)
            .map_err(|error| failed(format!("make interface {name}"), error))?
            .with_private_key(key)
            .with_listen_port(listen.port())
            .build()
            .await
            .map_err(|error| failed("start WireGuard", error))?;
        // Without this the device would open its port only with its first peer.
        let opened = device.write(async |device| device.clear_peers()).await;
        opened.map_err(|error| failed("open the port of WireGuard", error))?;
        links.set_up(&name, mtu).await?;
        let probe = Probe::bind(gateway, cluster, mtu).await;
        let probe =
            Arc::new(probe.map_err(|error| failed(format!("listen for echoes on {gateway}"), error))?);
        tasks.push(tokio::spawn(Arc::clone(&probe).run()));
        let port = device.read(async |device| device.listen_port()).await;
        Ok(Self {
            node,
            name,
            device,
            public_key,
            port,
            mtu,
            links,
            cluster,
            gateway,
            probe,
            traffic,
            peers: Mutex::default(),
            changed: Notify::new(),
            heard: std::sync::Mutex::default(),
            tasks,
        })
    }

    /// This node's public key in base64.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The largest packet that passes the interface.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Makes the peers exactly these. One that cannot be used is left out with a warning; the others do not suffer.
    ///
    /// # Errors
    /// When the device refuses.
    pub async fn set_peers(&self, wanted: Vec<PeerSpec>) -> Result<(), OverlayError> {
        let usable = wanted.into_iter().filter(|peer| {
            let usable = public_from(&peer.public_key).is_some() && self.cluster.contains(&peer.block);
            if !usable {
                tracing::warn!(node = %peer.node, "a node has no usable key or block; its containers are not reached");
            }
            usable && peer.node != self.node
        });
        let wanted: BTreeMap<NodeId, PeerSpec> = usable.map(|peer| (peer.node.clone(), peer)).collect();
        let mut present = self.peers.lock().await;
        let change = change(&present, &wanted);
        if change.remove.is_empty() && change.put.is_empty() {
            return Ok(());
        }
        let changed = self.device.write(async |device| {
            for peer in &change.remove {
                if let Some(key) = public_from(&peer.public_key) {
                    device.remove_peer(&key).await;
                }
            }
            for peer in &change.put {
                let (Some(key), Some(block)) = (public_from(&peer.public_key), network(peer.block)) else {
                    continue;
                };
                let mut spec = Peer::new(key).with_endpoint(peer.endpoint).with_allowed_ip(block);
                spec.keepalive = Some(KEEP_ALIVE);
                device.add_or_update_peer(spec).await;
            }
        });
        changed.await.map_err(|error| failed("change the peers of WireGuard", error))?;
        self.probe.set(wanted.values().filter_map(|peer| bridge_of(peer.block)));
        let (before, after) = (blocks(&present), blocks(&wanted));
        *present = wanted;
        self.changed.notify_one();
        for gone in before.difference(&after) {
            if let Err(error) = self.links.let_go(&self.name, *gone, self.gateway).await {
                tracing::warn!(%error, "a route to a node that is gone stays");
            }
        }
        // Only the blocks of peers, never the whole range: another node on this machine has routes of its own.
        self.links.lead(&self.name, after.difference(&before).copied(), self.gateway).await
    }

    /// Sees to it now and then that interface and routes are there, until dropped: whoever removes the bridge takes the
    /// routes with it.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(CHECK).await;
            let blocks = blocks(&*self.peers.lock().await);
            let kept = async {
                self.links.set_up(&self.name, self.mtu).await?;
                self.links.lead(&self.name, blocks, self.gateway).await
            };
            if let Err(error) = kept.await {
                tracing::warn!(%error, "containers of other nodes may not be reached");
            }
        }
    }
}

#[async_trait]
impl Mesh for Overlay {
    async fn look(&self) -> MeshView {
        let stats = self.stats().await;
        let known = self.peers.lock().await.clone();
        let sights = self.sights(&known, &stats);
        let hidden = self.lock_heard().iter().any(|heard| heard.node == self.node);
        let peers = known.into_values().map(|spec| {
            let stats = stats.iter().find(|stats| stats.key == spec.public_key);
            let handshake = stats.and_then(|stats| stats.handshake);
            let sight = sights.iter().find(|sight| sight.node == spec.node);
            let (path, via) = match sight.filter(|sight| is_fresh(sight)) {
                None => (MeshPath::None, None),
                Some(sight) => match carrier(sight, &sights) {
                    Some(via) => (MeshPath::Relayed, Some(via.clone())),
                    // Both are behind routers, so neither could have been called first.
                    None if hidden && sight.endpoint != Some(sight.stated) => (MeshPath::Punched, None),
                    None => (MeshPath::Direct, None),
                },
            };
            let endpoint = match path {
                MeshPath::None => Some(spec.endpoint),
                _ => sight.and_then(|sight| sight.endpoint),
            };
            let echoes = bridge_of(spec.block).map(|peer| self.probe.echoes(peer)).unwrap_or_default();
            let bytes = |count: Option<usize>| count.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
            MeshPeer {
                node: spec.node,
                name: String::new(),
                block: spec.block.to_string(),
                endpoint: endpoint.map(|endpoint| endpoint.to_string()),
                path,
                via,
                rtt_micros: echoes.rtt.and_then(|rtt| u32::try_from(rtt.as_micros()).ok()),
                mtu: echoes.mtu,
                handshake_age: handshake.map(|age| age.as_secs()),
                loss_per_mille: echoes.loss,
                received: bytes(stats.map(|stats| stats.received)),
                sent: bytes(stats.map(|stats| stats.sent)),
                advice: None,
            }
        });
        MeshView {
            node: Some(self.node.clone()),
            by: Some("userspace".to_owned()),
            public_key: Some(self.public_key.clone()),
            port: Some(self.port),
            mtu: Some(self.mtu),
            absent_because: None,
            peers: peers.collect(),
        }
    }

    async fn heard(&self) -> Vec<Heard> {
        let sights = self.look_around().await;
        let fresh = sights.iter().filter(|sight| is_fresh(sight) && carrier(sight, &sights).is_none());
        let elsewhere = fresh.filter_map(|sight| {
            let at = sight.endpoint.filter(|endpoint| *endpoint != sight.stated)?;
            Some(Heard { node: sight.node.clone(), by: self.node.clone(), at })
        });
        elsewhere.collect()
    }

    fn told(&self, heard: Vec<Heard>) {
        *self.lock_heard() = heard;
    }
}

/// What the device tells of a peer.
struct Stats {
    /// Its public key in base64.
    key: String,
    endpoint: Option<SocketAddr>,
    /// How long ago keys were agreed on.
    handshake: Option<Duration>,
    received: usize,
    sent: usize,
}

impl Overlay {
    async fn stats(&self) -> Vec<Stats> {
        let peers = self.device.peers().await.into_iter().map(|peer| Stats {
            key: public_text(&peer.peer.public_key),
            endpoint: peer.peer.endpoint,
            handshake: peer.stats.last_handshake,
            received: peer.stats.rx_bytes,
            sent: peer.stats.tx_bytes,
        });
        peers.collect()
    }

    fn lock_heard(&self) -> std::sync::MutexGuard<'_, Vec<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_around(&self) -> Vec<Sight> {
        let stats = self.stats().await;
        self.sights(&*self.peers.lock().await, &stats)
    }

    /// All peers as they are now.
    fn sights(&self, known: &BTreeMap<NodeId, PeerSpec>, stats: &[Stats]) -> Vec<Sight> {
        let told = self.lock_heard();
        let sights = known.values().filter_map(|spec| {
            let stats = stats.iter().find(|stats| stats.key == spec.public_key)?;
            let heard = told.iter().filter(|heard| heard.node == spec.node && heard.by != self.node);
            Some(Sight {
                node: spec.node.clone(),
                stated: spec.endpoint,
                endpoint: stats.endpoint,
                heard: heard.map(|heard| (heard.by.clone(), heard.at)).collect(),
                handshake: stats.handshake,
                echo: bridge_of(spec.block).and_then(|peer| self.probe.echoes(peer).age),
            })
        });
        sights.collect()
    }

    /// Sees to it that every peer is reached, by whatever way there is, until dropped.
    pub async fn reach(&self) {
        let (begun, mut ways) = (Instant::now(), Ways::default());
        loop {
            tokio::time::sleep(LOOK).await;
            let sights = self.look_around().await;
            let turns = ways.decide(begun.elapsed(), &sights);
            let keys: BTreeMap<NodeId, PublicKey> = {
                let peers = self.peers.lock().await;
                let keys = peers
                    .values()
                    .filter_map(|spec| Some((spec.node.clone(), public_from(&spec.public_key)?)));
                keys.collect()
            };
            let mark = |node: &NodeId| keys.get(node).map(|key| Mark::of(key.as_bytes()));
            let near = sights.iter().filter(|sight| is_fresh(sight) && carrier(sight, &sights).is_none());
            self.traffic
                .carry(near.filter_map(|sight| Some((mark(&sight.node)?, sight.endpoint?))).collect());
            let guesses = turns.iter().filter_map(|turn| Some((mark(&turn.node)?, turn.guess.clone())));
            self.traffic.guess(guesses.collect());
            if keys.is_empty() {
                self.changed.notified().await;
                continue;
            }
            let moved: Vec<_> = turns
                .into_iter()
                .filter_map(|turn| Some((*keys.get(&turn.node)?, turn.node, turn.endpoint?)))
                .collect();
            if moved.is_empty() {
                continue;
            }
            let changed = self.device.write(async |device| {
                for (key, node, endpoint) in &moved {
                    tracing::debug!(%node, %endpoint, "a node does not answer and is tried by another way");
                    device.modify_peer(key, |peer| peer.set_endpoint(Some(*endpoint))).await;
                }
            });
            if let Err(error) = changed.await {
                tracing::warn!(%error, "a node that does not answer could not be tried by another way");
            }
        }
    }
}

/// Whether the keys of a peer are good.
fn is_fresh(sight: &Sight) -> bool {
    sight.handshake.is_some_and(|age| age < OLDEST_HANDSHAKE)
}

/// The name of a node's interface, short enough for the kernel.
fn interface(node: &NodeId) -> String {
    let letters = node.as_str().strip_prefix(NodeId::PREFIX).unwrap_or(node.as_str());
    format!("uvw{}", letters.chars().take(NODE_LETTERS).collect::<String>())
}

fn blocks(peers: &BTreeMap<NodeId, PeerSpec>) -> BTreeSet<Ipv4Net> {
    peers.values().map(|peer| peer.block).collect()
}

/// The address of the bridge of a node with this block: the first after the network's.
fn bridge_of(block: Ipv4Net) -> Option<Ipv4Addr> {
    block.hosts().next()
}

fn network(block: Ipv4Net) -> Option<IpNetwork> {
    Ipv4Network::new(block.network(), block.prefix_len()).ok().map(IpNetwork::V4)
}
