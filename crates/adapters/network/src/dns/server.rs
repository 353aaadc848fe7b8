//! The sockets of the name server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_ports::network::ServiceTable;

use super::answer::{Asker, Carrier, Verdict, bare_refusal, judge};
use super::forward::{Forwarder, Upstreams, read_message, write_message};

/// How many questions may wait for the host's resolvers.
const FORWARDED: usize = 512;
/// How many streams may be open.
const STREAMS: usize = 128;
/// How long a stream may be silent.
const IDLE: Duration = Duration::from_secs(10);
/// How often a free port is sought when any will do.
const ATTEMPTS: usize = 16;

/// How the name server is set up.
#[derive(Clone, Debug)]
pub struct DnsOptions {
    /// Where it listens, by datagram and by stream; port 0 takes any.
    pub listen: SocketAddr,
    /// Who answers what it cannot.
    pub upstreams: Upstreams,
    /// How long one of them may take.
    pub timeout: Duration,
}

impl DnsOptions {
    /// The usual options: the host's resolvers, two seconds each.
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, upstreams: Upstreams::Host, timeout: Duration::from_secs(2) }
    }
}

/// Why the name server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The address is taken or not there.
    #[error("the name server cannot listen on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A name server that holds its sockets and waits to be run.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    datagrams: UdpSocket,
    streams: TcpListener,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tables: watch::Receiver<Arc<ServiceTable>>,
    own: std::net::IpAddr,
    turn: AtomicUsize,
    forwarder: Forwarder,
    forwarded: Semaphore,
}

impl DnsServer {
    /// Takes the sockets. A node whose name server cannot start still works by address, so the caller may go on
    /// with a warning.
    ///
    /// # Errors
    /// [`DnsError::Bind`] when the address is taken or absent.
    pub async fn bind(
        options: DnsOptions,
        tables: watch::Receiver<Arc<ServiceTable>>,
    ) -> Result<Self, DnsError> {
        let (datagrams, streams) = bind_both(options.listen)
            .await
            .map_err(|source| DnsError::Bind { address: options.listen, source })?;
        let address =
            datagrams.local_addr().map_err(|source| DnsError::Bind { address: options.listen, source })?;
        let shared = Shared {
            tables,
            own: address.ip(),
            turn: AtomicUsize::new(0),
            forwarder: Forwarder::new(options.upstreams, address, options.timeout),
            forwarded: Semaphore::new(FORWARDED),
        };
        Ok(Self { address, datagrams, streams, shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self { datagrams, streams, shared, .. } = self;
        let tasks = TaskTracker::new();
        let serving = async {
            tokio::join!(
                serve_datagrams(Arc::new(datagrams), Arc::clone(&shared), &tasks),
                serve_streams(streams, shared, &tasks, &stop),
            )
        };
        stop.run_until_cancelled(serving).await;
    }
}

/// Both sockets on one port.
async fn bind_both(listen: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts = if listen.port() == 0 { ATTEMPTS } else { 1 };
    loop {
        let datagrams = UdpSocket::bind(listen).await?;
        attempts -= 1;
        match TcpListener::bind(datagrams.local_addr()?).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            other => return other.map(|streams| (datagrams, streams)),
        }
    }
}

impl Shared {
    fn judge(&self, query: &[u8], client: SocketAddr, carrier: Carrier) -> Verdict {
        let table = Arc::clone(&self.tables.borrow());
        let from = client.ip();
        // Whoever asks from the address asked, or from loopback, is on the machine and in no namespace.
        let asker = if from == self.own || from.is_loopback() { Asker::Machine } else { Asker::At(from) };
        judge(query, asker, &table, self.turn.fetch_add(1, Ordering::Relaxed), carrier)
    }

    /// An answer of the host's resolvers, or the admission that there is none.
    async fn forward(&self, query: &[u8], carrier: Carrier) -> Vec<u8> {
        let answered = match self.forwarded.try_acquire() {
            Ok(_permit) => self.forwarder.ask(query, carrier).await,
            Err(_) => None,
        };
        answered.unwrap_or_else(|| bare_refusal(query, ResponseCode::ServFail))
    }
}

async fn serve_datagrams(socket: Arc<UdpSocket>, shared: Arc<Shared>, tasks: &TaskTracker) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // Such as the news that an earlier client is gone.
                tracing::debug!(%error, "the name server could not receive");
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        let query = &buffer[..length];
        match shared.judge(query, client, Carrier::Datagram) {
            Verdict::Reply(reply) => drop(socket.send_to(&reply, client).await),
            Verdict::Ignore => {}
            Verdict::Forward => {
                let (query, shared, socket) = (query.to_vec(), Arc::clone(&shared), Arc::clone(&socket));
                tasks.spawn(async move {
                    let reply = shared.forward(&query, Carrier::Datagram).await;
                    // A client that left needs no answer.
                    drop(socket.send_to(&reply, client).await);
                });
            }
        }
    }
}

async fn serve_streams(
    listener: TcpListener,
    shared: Arc<Shared>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let room = Arc::new(Semaphore::new(STREAMS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "the name server could not accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(serve_stream(stream, client, &shared)).await;
            drop(permit);
        });
    }
}

async fn serve_stream(mut stream: TcpStream, client: SocketAddr, shared: &Shared) {
    while let Ok(Ok(query)) = timeout(IDLE, read_message(&mut stream)).await {
        let reply = match shared.judge(&query, client, Carrier::Stream) {
            Verdict::Reply(reply) => reply,
            Verdict::Forward => shared.forward(&query, Carrier::Stream).await,
            Verdict::Ignore => return,
        };
        if !matches!(timeout(IDLE, write_message(&mut stream, &reply)).await, Ok(Ok(()))) {
            return;
        }
    }
}
