//! Gossip as QUIC datagrams under mutual TLS. What is too long for a datagram goes as a stream of its own.
//!
//! One socket both answers and dials, so a message comes from where its sender can be answered, through a router too.
//! The TLS configurations are the caller's: this file only asks who the other end is before it listens to it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::rustls::pki_types::CertificateDer;
use quinn::rustls::{ClientConfig, ServerConfig};
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, TokioRuntime, TransportConfig, VarInt};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use univrs_model::ids::NodeId;

use super::channel::{Channel, LONGEST};

/// What gossip is called in the handshake, so that nothing else is taken for it.
pub const ALPN: &[u8] = b"univrs-gossip/1";
/// A dial or a handshake that takes longer has failed.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Time between two dials of an address that does not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// A connection without a word for this long is closed; a round of gossip is far shorter.
const IDLE: Duration = Duration::from_secs(15);
/// Handshakes at once; more wait in the kernel and are lost when there are too many.
const HANDSHAKES: usize = 64;
/// Connections at once from one address: several nodes may stand behind one router.
const PER_ADDRESS: usize = 64;
/// Handshakes at once with one address, so that no single one can hold all of them.
const HANDSHAKES_PER_ADDRESS: usize = 16;
/// Connections at once.
const CONNECTIONS: usize = 2048;
/// Messages that wait for one peer; gossip that waits is stale.
const QUEUE: usize = 16;
/// Messages that wait for this node.
const INBOX: usize = 1024;
/// Messages of one peer that are listened to in a second. A node sends about thirty.
const RATE: u32 = 400;

/// Both sides of TLS. Protocol names in them are replaced by [`ALPN`].
#[derive(Clone, Debug)]
pub struct Tls {
    /// For dialling, with this node's certificate.
    pub client: ClientConfig,
    /// For answering.
    pub server: ServerConfig,
}

/// Which node a certificate that passed the handshake belongs to; nothing for one that may not gossip.
pub type Guard = Arc<dyn Fn(&CertificateDer<'static>) -> Option<NodeId> + Send + Sync>;

/// Why the channel could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum QuicError {
    /// The address cannot be listened at.
    #[error("failed to listen for gossip at {address}/udp")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The TLS configurations do not fit QUIC, which needs TLS 1.3.
    #[error("the TLS configuration cannot be used for QUIC: {0}")]
    Tls(String),
}

/// A [`Channel`] over QUIC.
pub struct QuicChannel {
    shared: Arc<Shared>,
    inbox: AsyncMutex<mpsc::Receiver<(SocketAddr, Bytes)>>,
    accepting: JoinHandle<()>,
}

struct Shared {
    endpoint: Endpoint,
    dialling: RwLock<quinn::ClientConfig>,
    guard: Guard,
    links: Mutex<Links>,
    /// Handshakes and all connections of each address that dialled.
    taken: Mutex<HashMap<IpAddr, (usize, usize)>>,
    arrived: mpsc::Sender<(SocketAddr, Bytes)>,
    handshakes: Arc<Semaphore>,
}

/// The newest link to each address.
#[derive(Default)]
struct Links {
    newest: u64,
    of: HashMap<SocketAddr, (u64, mpsc::Sender<Bytes>)>,
}

impl Links {
    fn open(&mut self, to: SocketAddr) -> (u64, mpsc::Receiver<Bytes>) {
        let (link, queue) = mpsc::channel(QUEUE);
        self.newest += 1;
        self.of.insert(to, (self.newest, link));
        (self.newest, queue)
    }

    /// Forgets a link that has ended, unless a newer one took its place.
    fn close(&mut self, to: SocketAddr, link: u64) {
        if self.of.get(&to).is_some_and(|(newest, _)| *newest == link) {
            self.of.remove(&to);
        }
    }
}

impl QuicChannel {
    /// Listens at `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or TLS 1.3 is not offered.
    pub fn open(address: SocketAddr, tls: Tls, guard: Guard) -> Result<Self, QuicError> {
        let (server, client) = configs(tls)?;
        let bind = |source| QuicError::Bind { address, source };
        let socket = std::net::UdpSocket::bind(address).map_err(bind)?;
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(server), socket, Arc::new(TokioRuntime))
            .map_err(bind)?;
        let (arrived, inbox) = mpsc::channel(INBOX);
        let shared = Arc::new(Shared {
            endpoint,
            dialling: RwLock::new(client),
            guard,
            links: Mutex::default(),
            taken: Mutex::default(),
            arrived,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&shared)));
        Ok(Self { shared, inbox: AsyncMutex::new(inbox), accepting })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.shared.endpoint.local_addr()
    }

    /// Uses renewed certificates for all connections from now on; those that exist stay.
    ///
    /// # Errors
    /// When TLS 1.3 is not offered; the old ones stay in use.
    pub fn renew(&self, tls: Tls) -> Result<(), QuicError> {
        let (server, client) = configs(tls)?;
        self.shared.endpoint.set_server_config(Some(server));
        *self.shared.dialling.write().unwrap_or_else(PoisonError::into_inner) = client;
        Ok(())
    }
}

impl Drop for QuicChannel {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.endpoint.close(VarInt::from_u32(0), b"stopped");
    }
}

#[async_trait]
impl Channel for QuicChannel {
    fn send(&self, to: SocketAddr, message: Bytes) {
        let mut links = lock(&self.shared.links);
        if !links.of.contains_key(&to) {
            let (link, queue) = links.open(to);
            tokio::spawn(dial(Arc::clone(&self.shared), to, link, queue));
        }
        if links.of.get(&to).is_some_and(|(_, link)| link.try_send(message).is_err()) {
            tracing::trace!(%to, "a message of gossip was dropped: its peer does not keep up");
        }
    }

    async fn recv(&self) -> Option<(SocketAddr, Bytes)> {
        self.inbox.lock().await.recv().await
    }
}

fn configs(tls: Tls) -> Result<(quinn::ServerConfig, quinn::ClientConfig), QuicError> {
    let Tls { mut client, mut server } = tls;
    client.alpn_protocols = vec![ALPN.to_vec()];
    server.alpn_protocols = vec![ALPN.to_vec()];
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(VarInt::from_u32(IDLE.as_millis() as u32).into()))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(8))
        .stream_receive_window(VarInt::from_u32(LONGEST as u32))
        .datagram_receive_buffer_size(Some(256 * 1024))
        .datagram_send_buffer_size(256 * 1024);
    let transport = Arc::new(transport);
    let fits = |error: quinn::crypto::rustls::NoInitialCipherSuite| QuicError::Tls(error.to_string());
    let server = QuicServerConfig::try_from(server).map_err(fits)?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(Arc::clone(&transport)).max_incoming(HANDSHAKES * 4);
    let client = QuicClientConfig::try_from(client).map_err(fits)?;
    let mut client = quinn::ClientConfig::new(Arc::new(client));
    client.transport_config(transport);
    Ok((server, client))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        if shared.endpoint.open_connections() > CONNECTIONS {
            incoming.refuse();
            continue;
        }
        let from = incoming.remote_address();
        // In this order: an address that has its share takes nothing of what is there for all.
        let Some(mut place) = Place::take(&shared, from.ip()) else {
            incoming.refuse();
            continue;
        };
        let Ok(permit) = Arc::clone(&shared.handshakes).acquire_owned().await else { return };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answered = answer(&shared, incoming).await;
            drop(permit);
            place.handshake_is_over();
            match answered {
                Ok(connection) => {
                    let (link, queue) = lock(&shared.links).open(from);
                    talk(&shared, connection, link, queue).await;
                }
                Err(reason) => tracing::info!(%from, %reason, "gossip was refused to a caller"),
            }
        });
    }
}

/// A connection's share of what its address may hold.
struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
    in_handshake: bool,
}

impl Place {
    fn take(shared: &Arc<Shared>, address: IpAddr) -> Option<Self> {
        let mut taken = lock(&shared.taken);
        let (handshakes, all) = taken.get(&address).copied().unwrap_or_default();
        (handshakes < HANDSHAKES_PER_ADDRESS && all < PER_ADDRESS).then(|| {
            taken.insert(address, (handshakes + 1, all + 1));
            Self { shared: Arc::clone(shared), address, in_handshake: true }
        })
    }

    fn handshake_is_over(&mut self) {
        if std::mem::take(&mut self.in_handshake)
            && let Some((handshakes, _)) = lock(&self.shared.taken).get_mut(&self.address)
        {
            *handshakes -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshake_is_over();
        let mut taken = lock(&self.shared.taken);
        if let Some((_, all)) = taken.get_mut(&self.address) {
            *all -= 1;
            if *all == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

async fn answer(shared: &Shared, incoming: Incoming) -> Result<Connection, String> {
    let connecting = incoming.accept().map_err(|error| error.to_string())?;
    let connection = timeout(HANDSHAKE, connecting)
        .await
        .map_err(|_| "the handshake took too long".to_owned())?
        .map_err(|error| error.to_string())?;
    admit(shared, &connection)?;
    Ok(connection)
}

/// Who is at the other end; a caller without a certificate is nobody.
fn admit(shared: &Shared, connection: &Connection) -> Result<NodeId, String> {
    let certificates = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .unwrap_or_default();
    let Some(certificate) = certificates.first() else {
        connection.close(VarInt::from_u32(1), b"no certificate");
        return Err("no certificate was shown".to_owned());
    };
    (shared.guard)(certificate).ok_or_else(|| {
        connection.close(VarInt::from_u32(2), b"not a member");
        "its certificate is not a member's".to_owned()
    })
}

/// Dials an address and talks to whoever answers. A dial that fails is followed by a pause, in which what is to be
/// sent there is dropped: gossip would dial a dead node many times in a second.
async fn dial(shared: Arc<Shared>, to: SocketAddr, link: u64, queue: mpsc::Receiver<Bytes>) {
    let config = shared.dialling.read().unwrap_or_else(PoisonError::into_inner).clone();
    // The name is never checked: the certificate says which node it is.
    let dialled = match shared.endpoint.connect_with(config, to, "univrs.node") {
        Ok(connecting) => match timeout(HANDSHAKE, connecting).await {
            Ok(connected) => connected.map_err(|error| error.to_string()),
            Err(_) => Err("nobody answered".to_owned()),
        },
        Err(error) => Err(error.to_string()),
    };
    match dialled.and_then(|connection| admit(&shared, &connection).map(|_| connection)) {
        Ok(connection) => talk(&shared, connection, link, queue).await,
        Err(reason) => {
            tracing::debug!(%to, %reason, "gossip did not reach a peer");
            sleep(PAUSE).await;
            lock(&shared.links).close(to, link);
        }
    }
}

/// Carries messages both ways until the connection ends.
async fn talk(shared: &Shared, connection: Connection, link: u64, mut queue: mpsc::Receiver<Bytes>) {
    let from = connection.remote_address();
    let send = async {
        while let Some(message) = queue.recv().await {
            if let Err(reason) = put(&connection, message).await {
                tracing::debug!(%from, %reason, "a connection of gossip broke");
                return;
            }
        }
    };
    let receive = receive(shared, &connection, from);
    // A link that was replaced by a newer connection ends its sending, not what it hears.
    tokio::pin!(send, receive);
    tokio::select! {
        () = &mut receive => {}
        () = &mut send => receive.await,
    }
    connection.close(VarInt::from_u32(0), b"");
    lock(&shared.links).close(from, link);
}

async fn put(connection: &Connection, message: Bytes) -> Result<(), String> {
    if connection.max_datagram_size().is_some_and(|most| message.len() <= most) {
        return connection.send_datagram(message).map_err(|error| error.to_string());
    }
    let stream = async {
        let mut stream = connection.open_uni().await.map_err(|error| error.to_string())?;
        stream.write_all(&message).await.map_err(|error| error.to_string())?;
        stream.finish().map_err(|error| error.to_string())
    };
    timeout(HANDSHAKE, stream).await.map_err(|_| "a long message got stuck".to_owned())?
}

async fn receive(shared: &Shared, connection: &Connection, from: SocketAddr) {
    let mut second = Instant::now();
    let mut count = 0_u32;
    loop {
        let message = tokio::select! {
            datagram = connection.read_datagram() => match datagram {
                Ok(datagram) => datagram,
                Err(_) => return,
            },
            stream = connection.accept_uni() => {
                let Ok(mut stream) = stream else { return };
                match timeout(HANDSHAKE, stream.read_to_end(LONGEST)).await {
                    Ok(Ok(message)) => message.into(),
                    Ok(Err(error)) => {
                        tracing::debug!(%from, %error, "a long message of gossip was not read");
                        continue;
                    }
                    Err(_) => continue,
                }
            }
        };
        if second.elapsed() >= Duration::from_secs(1) {
            second = Instant::now();
            count = 0;
        }
        count += 1;
        if count == RATE {
            tracing::warn!(%from, limit = RATE, "a peer floods gossip; what is above the limit is dropped");
        }
        if count < RATE && shared.arrived.try_send((from, message)).is_err() {
            tracing::trace!(%from, "a message of gossip was dropped: this node does not keep up");
        }
    }
}
