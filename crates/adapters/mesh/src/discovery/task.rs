//! The loop that owns the swarm: commands in, events out.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, OutboundRequestId};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, autonat, identify, mdns};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use univrs_model::Timestamp;
use univrs_ports::discovery::{Admission, MeshEvent, Path, PeerRecord, PeerView, PublishError, Topic};

use super::behaviour::{Behaviour, BehaviourEvent};
use super::book::{Book, Line};
use super::calls::{self, LONGEST, Listener, Refusal};
use super::reach::Reach;

/// Time between two looks at who is admitted.
const REVIEW: Duration = Duration::from_millis(500);
/// Reviews between the dial of a relay by QUIC and the request to carry traffic: three seconds.
const QUIC_FIRST: u32 = 6;
/// Reviews that a stranger may stay connected: two minutes, time enough to join.
const PATIENCE: u32 = 240;
/// Strangers at once.
const STRANGERS: usize = 128;

/// What the peer is told to do.
pub(super) enum Command {
    /// Say what is new of this node to everyone connected.
    Introduce,
    /// Call out to all.
    Publish { topic: Topic, body: serde_json::Value, reply: oneshot::Sender<Result<(), PublishError>> },
    /// Ask whoever answers at an address what it is.
    Ask { address: Multiaddr, reply: oneshot::Sender<Result<PeerRecord, String>> },
    /// Dial a member.
    Dial { peer: PeerId, addresses: Vec<Multiaddr> },
    /// Ask a relay to carry this peer's traffic.
    Reserve(Multiaddr),
}

type Answer = oneshot::Sender<Result<PeerRecord, String>>;

pub(super) struct Task {
    swarm: Swarm<Behaviour>,
    admission: Arc<dyn Admission>,
    record: Arc<Mutex<PeerRecord>>,
    show: watch::Sender<Arc<Vec<PeerView>>>,
    listening: watch::Sender<Vec<String>>,
    events: broadcast::Sender<MeshEvent>,
    use_relays: bool,
    book: Book,
    listener: Listener,
    /// Who asked at an address that is being dialled.
    dialling: HashMap<ConnectionId, Answer>,
    /// Who asked a peer that has been connected.
    asking: HashMap<OutboundRequestId, Answer>,
    reach: Reach,
    /// Members that offer to carry traffic.
    relays: HashSet<PeerId>,
    /// Reviews since a relay was dialled by QUIC as well.
    asked_quic: Option<u32>,
    reserved: bool,
}

impl Task {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        admission: Arc<dyn Admission>,
        record: Arc<Mutex<PeerRecord>>,
        show: watch::Sender<Arc<Vec<PeerView>>>,
        listening: watch::Sender<Vec<String>>,
        events: broadcast::Sender<MeshEvent>,
        use_relays: bool,
    ) -> Self {
        Self {
            swarm,
            admission,
            record,
            show,
            listening,
            events,
            use_relays,
            book: Book::default(),
            listener: Listener::default(),
            dialling: HashMap::new(),
            asking: HashMap::new(),
            reach: Reach::default(),
            relays: HashSet::new(),
            asked_quic: None,
            reserved: false,
        }
    }

    /// Runs until the other end of `commands` is gone.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut reviews = interval(REVIEW);
        reviews.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let reviewed = tokio::select! {
                command = commands.recv() => {
                    let Some(command) = command else { return };
                    self.command(command);
                    false
                }
                event = self.swarm.select_next_some() => {
                    self.event(event);
                    false
                }
                // Without peers there is nobody to ask about and nobody to be carried by.
                _ = reviews.tick(), if !self.book.is_empty() => {
                    self.review();
                    true
                }
            };
            if let Some(views) = self.book.news(reviewed) {
                self.publish_views(views);
            }
        }
    }

    fn publish_views(&self, views: Vec<PeerView>) {
        self.show.send_if_modified(|shown| {
            let changed = **shown != views;
            if changed {
                *shown = Arc::new(views);
            }
            changed
        });
    }

    fn tell(&self, event: Option<MeshEvent>) {
        // Nobody may be listening, and that is fine.
        let _ = event.map(|event| self.events.send(event));
    }

    fn own(&self) -> PeerRecord {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        record.listen = self.listening.borrow().clone();
        record
    }

    fn review(&mut self) {
        let (events, unwanted) = self.book.review(self.admission.as_ref(), PATIENCE);
        events.into_iter().for_each(|event| self.tell(Some(event)));
        for peer in unwanted {
            tracing::debug!(%peer, "a peer that is not a member is disconnected");
            // It may have gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        if self.use_relays && !self.reserved && self.reach.is_hidden() {
            self.reserve_somewhere();
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Introduce => {
                let peers: Vec<PeerId> = self.book.connected_peers().copied().collect();
                for peer in peers {
                    let own = self.own();
                    self.swarm.behaviour_mut().hello.send_request(&peer, own);
                }
            }
            Command::Publish { topic, body, reply } => {
                let _ = reply.send(self.publish(topic, body));
            }
            Command::Ask { address, reply } => {
                let dial = DialOpts::unknown_peer_id().address(address).build();
                let id = dial.connection_id();
                match self.swarm.dial(dial) {
                    Ok(()) => {
                        self.dialling.insert(id, reply);
                    }
                    Err(error) => {
                        let _ = reply.send(Err(error.to_string()));
                    }
                }
            }
            Command::Dial { peer, addresses } => {
                let dial = DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(addresses)
                    .extend_addresses_through_behaviour()
                    .build();
                if let Err(error) = self.swarm.dial(dial) {
                    tracing::debug!(%peer, %error, "a member was not dialled");
                }
            }
            Command::Reserve(address) => self.reserve(address),
        }
    }

    fn reserve(&mut self, address: Multiaddr) {
        match self.swarm.listen_on(address.clone().with(Protocol::P2pCircuit)) {
            Ok(_) => self.reserved = true,
            Err(error) => tracing::warn!(%address, %error, "a relay cannot be used"),
        }
    }

    /// Others cannot reach this peer, so a member that they can reach shall carry its traffic.
    fn reserve_somewhere(&mut self) {
        let chosen = self.book.views().into_iter().find_map(|view| {
            let peer: PeerId = view.peer.parse().ok()?;
            let usable = view.path == Some(Path::Direct) && self.relays.contains(&peer);
            let address: Multiaddr = view.address?.parse().ok()?;
            let address = if names(&address) { address } else { address.with(Protocol::P2p(peer)) };
            usable.then_some((peer, address, view.record.listen))
        });
        let Some((peer, address, listens)) = chosen else { return };
        // Holes are made for QUIC, so the relay is spoken to by QUIC too: it tells from where that comes.
        let waited = self.asked_quic.get_or_insert_with(|| {
            let quic = listens.iter().filter_map(|listen| listen.parse::<Multiaddr>().ok());
            let quic =
                quic.filter(|listen| listen.iter().any(|part| part == Protocol::QuicV1) && !relayed(listen));
            let dial =
                DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(quic.collect()).build();
            if let Err(error) = self.swarm.dial(dial) {
                tracing::debug!(%peer, %error, "a relay was not dialled by QUIC");
            }
            0
        });
        *waited += 1;
        if *waited > QUIC_FIRST {
            self.asked_quic = None;
            tracing::info!(relay = %address, "others cannot reach this node, so a member carries its peer traffic");
            self.reserve(address);
        }
    }

    fn publish(&mut self, topic: Topic, body: serde_json::Value) -> Result<(), PublishError> {
        let author = self.own().node.ok_or(PublishError::NotJoined)?;
        let data = calls::write(&author, Timestamp::now(), body);
        if data.len() > LONGEST {
            return Err(PublishError::TooLong { size: data.len(), limit: LONGEST });
        }
        let published = self.swarm.behaviour_mut().gossip.publish(IdentTopic::new(topic.path()), data);
        published.map(|_| ()).map_err(|error| match error {
            gossipsub::PublishError::NoPeersSubscribedToTopic => PublishError::Nobody(topic),
            other => PublishError::Refused(other.to_string()),
        })
    }

    fn event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                let event = self.book.disconnected(&peer_id, connection_id);
                self.tell(event);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(reply) = self.dialling.remove(&connection_id) {
                    let _ = reply.send(Err(error.to_string()));
                }
            }
            SwarmEvent::NewListenAddr { .. } => self.listens(),
            SwarmEvent::ExpiredListenAddr { .. } => {
                // The machine has moved, so what was true of its addresses may not be any more.
                self.reach = Reach::default();
                self.listens();
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                if addresses.iter().any(relayed) {
                    self.reserved = false;
                }
                if let Err(error) = reason {
                    tracing::warn!(?addresses, %error, "a listener of peers was closed");
                }
                self.listens();
            }
            SwarmEvent::Behaviour(event) => self.behaviour(event),
            _ => {}
        }
    }

    fn listens(&mut self) {
        let local = *self.swarm.local_peer_id();
        let addresses = self.swarm.listeners().map(|address| {
            let named =
                if names(address) { address.clone() } else { address.clone().with(Protocol::P2p(local)) };
            named.to_string()
        });
        let addresses: Vec<String> = addresses.collect();
        self.listening.send_replace(addresses);
    }

    fn connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let path = match endpoint.is_relayed() {
            true => Path::Relayed,
            // Two that cannot be reached as far as is known have made a hole. Who dialled is told so, if its line is the one
            // that stays: both dial at the same time.
            false if !self.reach.is_reached() && self.book.is_behind(&peer) => Path::Punched,
            false => Path::Direct,
        };
        let line = Line { address: endpoint.get_remote_address().clone(), path };
        let (first, event) = self.book.connected(peer, id, line);
        self.tell(event);
        let asked = self.dialling.remove(&id);
        if first && asked.is_none() && self.book.strangers() > STRANGERS {
            tracing::warn!(%peer, limit = STRANGERS, "too many peers that are not members; one more is refused");
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        }
        // The side that dialled speaks first; the answer tells it who the other is.
        if endpoint.is_dialer() {
            let own = self.own();
            let request = self.swarm.behaviour_mut().hello.send_request(&peer, own);
            if let Some(reply) = asked {
                self.asking.insert(request, reply);
            }
        }
    }

    fn behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Hello(event) => self.hello(event),
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let acceptance = self.heard(message);
                self.swarm.behaviour_mut().gossip.report_message_validation_result(
                    &message_id,
                    &propagation_source,
                    acceptance,
                );
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                if info.protocols.contains(&libp2p::relay::HOP_PROTOCOL_NAME) {
                    self.relays.insert(peer_id);
                }
                // Strangers are not told to others.
                if self.book.is_member(&peer_id) {
                    for address in info.listen_addrs {
                        self.swarm.behaviour_mut().kad.add_address(&peer_id, address);
                    }
                }
            }
            BehaviourEvent::Ping(event) => {
                if let Ok(took) = event.result {
                    // Tenths of a millisecond are enough, and lists of peers are not shown anew for less.
                    let tenths = took.as_micros().div_ceil(100);
                    self.book.pinged(&event.peer, u64::try_from(tenths * 100).unwrap_or(u64::MAX));
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    if !self.swarm.is_connected(&peer) {
                        self.command(Command::Dial { peer, addresses: vec![address] });
                    }
                }
            }
            BehaviourEvent::Dcutr(event) => match event.result {
                Ok(id) => self.book.punched(&event.remote_peer_id, id),
                Err(error) => {
                    tracing::debug!(peer = %event.remote_peer_id, %error, "no hole was made to a peer")
                }
            },
            BehaviourEvent::AutonatClient(autonat::v2::client::Event { tested_addr, result, .. }) => {
                if let Err(error) = &result {
                    tracing::debug!(%tested_addr, %error, "others cannot reach an address of this node");
                }
                self.reach.tested(tested_addr, result.is_ok());
            }
            _ => {}
        }
    }

    fn hello(&mut self, event: request_response::Event<PeerRecord, PeerRecord>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    let own = self.own();
                    if self.swarm.behaviour_mut().hello.send_response(channel, own).is_err() {
                        tracing::debug!(%peer, "a peer left before it was answered");
                    }
                    let event = self.book.introduced(&peer, request, self.admission.as_ref());
                    self.tell(event);
                }
                request_response::Message::Response { request_id, response } => {
                    if let Some(reply) = self.asking.remove(&request_id) {
                        let _ = reply.send(Ok(response.clone()));
                    }
                    let event = self.book.introduced(&peer, response, self.admission.as_ref());
                    self.tell(event);
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, "a peer did not say what it is");
                if let Some(reply) = self.asking.remove(&request_id) {
                    let _ = reply.send(Err(format!("it does not speak univrs: {error}")));
                }
            }
            request_response::Event::InboundFailure { .. } | request_response::Event::ResponseSent { .. } => {
            }
        }
    }

    fn heard(&mut self, message: gossipsub::Message) -> MessageAcceptance {
        let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.path() == message.topic.as_str()) else {
            return MessageAcceptance::Ignore;
        };
        // Strict validation lets nothing through without a source.
        let Some(signer) = message.source else { return MessageAcceptance::Reject };
        let signer = signer.to_string();
        let heard =
            self.listener.hear(self.admission.as_ref(), Timestamp::now(), topic, &signer, &message.data);
        match heard {
            Ok(message) => {
                self.tell(Some(MeshEvent::Message(message)));
                MessageAcceptance::Accept
            }
            Err(refusal) => {
                tracing::debug!(%signer, %refusal, "a message is not believed");
                match refusal {
                    Refusal::Malformed(_) => MessageAcceptance::Reject,
                    // Whoever passed these on may know less or more than this node does.
                    Refusal::Author { .. } | Refusal::Time { .. } | Refusal::Flood { .. } => {
                        MessageAcceptance::Ignore
                    }
                }
            }
        }
    }
}

/// Whether the address ends with a peer id.
fn names(address: &Multiaddr) -> bool {
    matches!(address.iter().last(), Some(Protocol::P2p(_)))
}

fn relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}
