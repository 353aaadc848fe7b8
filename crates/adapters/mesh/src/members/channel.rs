//! The road gossip travels: datagrams between nodes that know each other by their certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chitchat::ChitchatEnvelope;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport};

/// A message longer than this is not gossip: chitchat cuts its own below 65,507 bytes, and the name of a domain may
/// stand before it.
pub const LONGEST: usize = 65_507 + 256;

/// Carries messages between members. Both ends have proved who they are before the first one arrives.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Sends once, without waiting: what cannot be sent is lost, and gossip lives with that.
    fn send(&self, to: SocketAddr, message: Bytes);

    /// The next message and where an answer to it goes; nothing once the channel is closed. Cancelling loses none.
    async fn recv(&self) -> Option<(SocketAddr, Bytes)>;
}

/// A [`Channel`] as chitchat wants it.
pub(super) struct Carried {
    channel: Arc<dyn Channel>,
}

impl Carried {
    pub(super) fn new(channel: Arc<dyn Channel>) -> Self {
        Self { channel }
    }
}

#[async_trait]
impl Transport for Carried {
    async fn open(&self, address: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        Ok(Box::new(CarriedSocket { channel: Arc::clone(&self.channel), address }))
    }
}

struct CarriedSocket {
    channel: Arc<dyn Channel>,
    address: SocketAddr,
}

#[async_trait]
impl Socket for CarriedSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.address)
    }

    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        let bytes = envelope.serialize_to_vec();
        let num_bytes_sent = bytes.len();
        self.channel.send(to, bytes.into());
        Ok(SendOutcome { num_bytes_sent })
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        loop {
            let Some((from_addr, message)) = self.channel.recv().await else {
                anyhow::bail!("the channel is closed");
            };
            let mut rest: &[u8] = &message;
            match ChitchatEnvelope::deserialize(&mut rest) {
                Ok(envelope) => {
                    return Ok(RecvOutcome { from_addr, envelope, num_bytes_received: message.len() });
                }
                Err(error) => tracing::warn!(%from_addr, %error, "a message that is not gossip was dropped"),
            }
        }
    }
}
