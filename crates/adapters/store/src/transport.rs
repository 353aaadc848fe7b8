//! How bytes travel between members. The store opens no listener and knows no cryptography: it hands a
//! frame to a [`Transport`] and answers frames through a [`PeerHandler`]. Whoever connects the two decides
//! about addresses, certificates and multiplexing.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use univrs_ports::store::MemberId;

/// The largest frame: a transaction of the largest size many times over.
const FRAME_LIMIT: u32 = 64 << 20;
/// Idle connections kept per address.
const IDLE_CONNECTIONS: usize = 4;

/// Why a frame got no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The peer did not get the frame.
    #[error("member {to} cannot be reached at {address}")]
    Unreachable {
        /// The peer.
        to: MemberId,
        /// Its address.
        address: String,
        /// The reason given by the system.
        #[source]
        source: io::Error,
    },
    /// The peer may have got the frame and acted on it.
    #[error("member {to} at {address} did not answer")]
    Lost {
        /// The peer.
        to: MemberId,
        /// Its address.
        address: String,
        /// The reason given by the system.
        #[source]
        source: io::Error,
    },
}

/// Sends a frame to a member and waits for its answer.
///
/// Calls run concurrently; a large one should not hold up a small one.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// One request, one answer, within `timeout`.
    async fn call(
        &self,
        to: MemberId,
        address: &str,
        frame: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError>;
}

/// Answers the frames of other members.
#[async_trait]
pub trait PeerHandler: Send + Sync + 'static {
    /// Acts on one frame.
    async fn handle(&self, frame: Bytes) -> Bytes;
}

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

/// No network: the transport of a single member.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTransport;

#[async_trait]
impl Transport for NoTransport {
    async fn call(
        &self,
        to: MemberId,
        address: &str,
        _: Bytes,
        _: Duration,
    ) -> Result<Bytes, TransportError> {
        let source = io::ErrorKind::Unsupported.into();
        Err(TransportError::Unreachable { to, address: address.to_owned(), source })
    }
}

/// Members in one process, with cables that can be cut.
#[derive(Clone, Default)]
pub struct Loopback {
    handlers: Arc<RwLock<HashMap<MemberId, Arc<dyn PeerHandler>>>>,
    cut_off: Arc<RwLock<HashSet<MemberId>>>,
}

impl Loopback {
    /// The transport of one member.
    pub fn transport(&self, from: MemberId) -> Arc<dyn Transport> {
        Arc::new(LoopbackTransport { network: self.clone(), from })
    }

    /// Lets others reach a member.
    pub fn connect(&self, member: MemberId, handler: Arc<dyn PeerHandler>) {
        self.handlers.write().unwrap_or_else(PoisonError::into_inner).insert(member, handler);
    }

    /// Cuts a member off: it reaches nobody and nobody reaches it.
    pub fn cut_off(&self, member: MemberId) {
        self.cut_off.write().unwrap_or_else(PoisonError::into_inner).insert(member);
    }

    /// Ends [`Loopback::cut_off`].
    pub fn heal(&self, member: MemberId) {
        self.cut_off.write().unwrap_or_else(PoisonError::into_inner).remove(&member);
    }

    fn is_cut(&self, from: MemberId, to: MemberId) -> bool {
        let cut_off = self.cut_off.read().unwrap_or_else(PoisonError::into_inner);
        cut_off.contains(&from) || cut_off.contains(&to)
    }
}

struct LoopbackTransport {
    network: Loopback,
    from: MemberId,
}

#[async_trait]
impl Transport for LoopbackTransport {
    async fn call(
        &self,
        to: MemberId,
        address: &str,
        frame: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        let handler = self.network.handlers.read().unwrap_or_else(PoisonError::into_inner).get(&to).cloned();
        let Some(handler) = handler.filter(|_| !self.network.is_cut(self.from, to)) else {
            let source = io::ErrorKind::NotConnected.into();
            return Err(TransportError::Unreachable { to, address: address.to_owned(), source });
        };
        let lost = |source| TransportError::Lost { to, address: address.to_owned(), source };
        let answer =
            tokio::time::timeout(timeout, handler.handle(frame)).await.map_err(|_| lost(timed_out()))?;
        if self.network.is_cut(self.from, to) {
            return Err(lost(io::ErrorKind::ConnectionReset.into()));
        }
        Ok(answer)
    }
}

/// Plain TCP: frames with their length in front. For one machine and for tests; across machines the cluster
/// brings a transport with mutual TLS.
#[derive(Default)]
pub struct TcpTransport {
    idle: Mutex<HashMap<String, Vec<TcpStream>>>,
}

impl TcpTransport {
    fn take(&self, address: &str) -> Option<TcpStream> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(address)?.pop()
    }

    fn put_back(&self, address: &str, stream: TcpStream) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = idle.entry(address.to_owned()).or_default();
        if streams.len() < IDLE_CONNECTIONS {
            streams.push(stream);
        }
    }
}

async fn exchange(stream: &mut TcpStream, frame: &[u8]) -> io::Result<Bytes> {
    write_frame(stream, frame).await?;
    read_frame(stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[async_trait]
impl Transport for TcpTransport {
    async fn call(
        &self,
        to: MemberId,
        address: &str,
        frame: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        let lost = |source| TransportError::Lost { to, address: address.to_owned(), source };
        let unreachable = |source| TransportError::Unreachable { to, address: address.to_owned(), source };
        let deadline = tokio::time::Instant::now() + timeout;
        let mut stream = match self.take(address) {
            // A connection that the peer closed while it was idle reads as ended or readable: do not use it.
            Some(stream) if is_quiet(&stream) => stream,
            _ => {
                let connected = tokio::time::timeout_at(deadline, TcpStream::connect(address)).await;
                let stream = connected.map_err(|_| unreachable(timed_out()))?.map_err(unreachable)?;
                stream.set_nodelay(true).map_err(unreachable)?;
                stream
            }
        };
        let answer = tokio::time::timeout_at(deadline, exchange(&mut stream, &frame)).await;
        let answer = answer.map_err(|_| lost(timed_out()))?.map_err(lost)?;
        self.put_back(address, stream);
        Ok(answer)
    }
}

fn is_quiet(stream: &TcpStream) -> bool {
    let mut byte = [0];
    matches!(stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Answers frames on a listener until `shutdown`. The counterpart of [`TcpTransport`].
pub async fn serve_tcp(listener: TcpListener, handler: Arc<dyn PeerHandler>, shutdown: CancellationToken) {
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection of another member could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (handler, shutdown) = (Arc::clone(&handler), shutdown.clone());
        tokio::spawn(async move { shutdown.run_until_cancelled(serve_one(stream, handler)).await });
    }
}

async fn serve_one(mut stream: TcpStream, handler: Arc<dyn PeerHandler>) {
    let served = async {
        stream.set_nodelay(true)?;
        while let Some(frame) = read_frame(&mut stream).await? {
            let answer = handler.handle(frame).await;
            write_frame(&mut stream, &answer).await?;
        }
        Ok::<_, io::Error>(())
    };
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection of another member ended");
    }
}

async fn write_frame(stream: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).ok().filter(|length| *length <= FRAME_LIMIT);
    let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(frame).await
}

/// The next frame; `None` when the peer closed the connection between frames.
async fn read_frame(stream: &mut TcpStream) -> io::Result<Option<Bytes>> {
    let length = match stream.read_u32().await {
        Ok(length) if length <= FRAME_LIMIT => length as usize,
        Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(Some(frame.into()))
}
