//! What a peer can do, put together from libp2p's parts, with its limits.

use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, autonat, dcutr, identify, kad, mdns, ping, relay};
use univrs_ports::discovery::Topic;

use super::calls::{AGE, LONGEST};
use super::hello;
use super::per_address::PerAddress;

/// Connections at once; a peer that opens thousands is refused, and members keep theirs.
const CONNECTIONS: u32 = 1024;
/// Handshakes at once.
const HANDSHAKES: u32 = 64;
/// Connections with one peer: an old path, a new one, and a relayed one beside them.
const PER_PEER: u32 = 6;

/// Time between two round trips with each peer. Gossip and the encrypted network notice who is silent; this is for those
/// who look at how far peers are from each other, and every pair of peers pays for it.
const PING: Duration = Duration::from_secs(15);

/// All parts. Each is libp2p's own; what they tell is handled in `task.rs`.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) per_address: PerAddress,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) hello: hello::Behaviour,
    pub(super) gossip: gossipsub::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) kad: kad::Behaviour<MemoryStore>,
    pub(super) ping: ping::Behaviour,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) relay: Toggle<relay::Behaviour>,
    pub(super) relay_client: relay::client::Behaviour,
    pub(super) dcutr: dcutr::Behaviour,
    pub(super) autonat_client: autonat::v2::client::Behaviour,
    pub(super) autonat_server: autonat::v2::server::Behaviour,
}

impl Behaviour {
    pub(super) fn new(
        key: &Keypair,
        relay_client: relay::client::Behaviour,
        mdns: bool,
        relay: bool,
    ) -> Result<Self, String> {
        let own = key.public().to_peer_id();
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(HANDSHAKES))
            .with_max_pending_outgoing(Some(HANDSHAKES))
            .with_max_established_incoming(Some(CONNECTIONS))
            .with_max_established_per_peer(Some(PER_PEER));
        let mdns = mdns
            .then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), own))
            .transpose()
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "peers on the local network are not looked for");
                None
            });
        let mut finding = kad::Config::new(StreamProtocol::new("/univrs/kad/1"));
        finding.set_record_filtering(kad::StoreInserts::FilterBoth);
        // Peers are looked up in it, records are not kept: nobody can fill this node's memory.
        let nothing =
            MemoryStoreConfig { max_records: 0, max_provided_keys: 0, ..MemoryStoreConfig::default() };
        let store = MemoryStore::with_config(own, nothing);
        let mut kad = kad::Behaviour::with_config(own, store, finding);
        kad.set_mode(Some(kad::Mode::Server));
        Ok(Self {
            per_address: PerAddress::default(),
            limits: connection_limits::Behaviour::new(limits),
            hello: hello::behaviour(),
            gossip: gossip(key)?,
            identify: identify::Behaviour::new(
                identify::Config::new("/univrs/1".to_owned(), key.public())
                    .with_agent_version(format!("univrs/{}", env!("CARGO_PKG_VERSION")))
                    .with_push_listen_addr_updates(true),
            ),
            kad,
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING)),
            mdns: mdns.into(),
            relay: relay.then(|| relay::Behaviour::new(own, carrying())).into(),
            relay_client,
            dcutr: dcutr::Behaviour::new(own),
            autonat_client: autonat::v2::client::Behaviour::default(),
            autonat_server: autonat::v2::server::Behaviour::default(),
        })
    }
}

/// How much is carried for peers that cannot reach each other. They speak for as long as both run, and say little:
/// the usual two minutes and 128 KiB would have them dial again all the time.
fn carrying() -> relay::Config {
    relay::Config {
        max_reservations: 256,
        max_circuits: 256,
        max_circuits_per_peer: 16,
        max_circuit_duration: Duration::from_secs(24 * 3600),
        max_circuit_bytes: 1 << 30,
        ..relay::Config::default()
    }
}

/// Every message is signed and every signature checked; nothing is passed on before `calls.rs` has looked at it.
fn gossip(key: &Keypair) -> Result<gossipsub::Behaviour, String> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(LONGEST + 1024)
        // Longer than a message is believed, so that none is heard twice.
        .duplicate_cache_time(AGE * 2)
        .build()
        .map_err(|error| error.to_string())?;
    let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Signed(key.clone()), config)
        .map_err(ToString::to_string)?;
    for topic in Topic::ALL {
        gossip.subscribe(&IdentTopic::new(topic.path())).map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}
