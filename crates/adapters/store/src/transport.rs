//! How bytes travel between members. The store opens no listener and knows no cryptography: it hands a
//! frame to a [`Transport`] and answers frames through a [`PeerHandler`]. Whoever connects the two decides
//! about addresses, certificates and multiplexing.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use univrs_ports::store::MemberId;

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
    silent: Arc<RwLock<HashSet<MemberId>>>,
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

    /// Loses all frames to and from a member, as when its machine has no power: whoever asks waits to the end of its
    /// patience.
    pub fn silence(&self, member: MemberId) {
        self.silent.write().unwrap_or_else(PoisonError::into_inner).insert(member);
    }

    /// Ends [`Loopback::cut_off`] and [`Loopback::silence`].
    pub fn heal(&self, member: MemberId) {
        self.cut_off.write().unwrap_or_else(PoisonError::into_inner).remove(&member);
        self.silent.write().unwrap_or_else(PoisonError::into_inner).remove(&member);
    }

    fn is_cut(&self, from: MemberId, to: MemberId) -> bool {
        let cut_off = self.cut_off.read().unwrap_or_else(PoisonError::into_inner);
        cut_off.contains(&from) || cut_off.contains(&to)
    }

    fn is_silent(&self, from: MemberId, to: MemberId) -> bool {
        let silent = self.silent.read().unwrap_or_else(PoisonError::into_inner);
        silent.contains(&from) || silent.contains(&to)
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
        if self.network.is_silent(self.from, to) {
            tokio::time::sleep(timeout).await;
            return Err(lost(timed_out()));
        }
        let answer =
            tokio::time::timeout(timeout, handler.handle(frame)).await.map_err(|_| lost(timed_out()))?;
        if self.network.is_cut(self.from, to) {
            return Err(lost(io::ErrorKind::ConnectionReset.into()));
        }
        Ok(answer)
    }
}
