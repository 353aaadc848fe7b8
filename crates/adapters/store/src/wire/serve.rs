//! Answering on a listener, or on connections that somebody else accepted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{ClusterId, MemberId};

use super::hello::{self, NEWEST_VERSION, Welcome};
use super::session::{Service, Session};
use super::{Channel, MAX_FRAME, WireError};

/// Bounds of what other nodes can make this one hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest frame that is accepted, in bytes.
    pub max_frame: u32,
    /// Requests worked on at once per connection; above it, reading from that connection stops.
    pub in_flight: u32,
    /// Connections at once; above it, new ones wait.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_frame: MAX_FRAME, in_flight: 1024, connections: 4096 }
    }
}

/// What a node offers to others, and as whom.
pub struct Services {
    cluster: ClusterId,
    member: MemberId,
    limits: Limits,
    by_channel: BTreeMap<Channel, Arc<dyn Service>>,
}

impl Services {
    /// Nothing yet.
    pub fn new(cluster: ClusterId, member: MemberId, limits: Limits) -> Self {
        Self { cluster, member, limits, by_channel: BTreeMap::new() }
    }

    /// Offers one service more.
    #[must_use]
    pub fn with(mut self, channel: Channel, service: Arc<dyn Service>) -> Self {
        self.by_channel.insert(channel, service);
        self
    }

    pub(crate) fn get(&self, channel: Channel) -> Option<Arc<dyn Service>> {
        self.by_channel.get(&channel).cloned()
    }

    /// Answers on one connection until the other side closes it.
    ///
    /// Who may connect is decided before: by whoever accepted the connection and knows its certificate.
    ///
    /// # Errors
    /// When the other side does not speak the protocol, breaks it, is silent for too long, or the connection fails.
    pub async fn answer<S>(self: Arc<Self>, io: S) -> Result<(), WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let own = Welcome {
            version: NEWEST_VERSION,
            max_frame: self.limits.max_frame,
            in_flight: self.limits.in_flight,
            cluster: self.cluster,
            member: self.member,
        };
        let (reader, limit) = hello::welcome(io, own).await?;
        let in_flight = self.limits.in_flight.max(1) as usize;
        Session::new(reader, self, limit, in_flight).run().await
    }
}

/// Answers on a listener, without encryption, until `shutdown`.
pub async fn serve(listener: TcpListener, services: Services, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(services.limits.connections));
    let services = Arc::new(services);
    loop {
        let accepted = async {
            // Never closed.
            let place = Arc::clone(&places).acquire_owned().await;
            listener.accept().await.map(|(stream, peer)| (stream, peer, place))
        };
        let (stream, peer, place) = match shutdown.run_until_cancelled(accepted).await {
            None => return,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                tracing::warn!(%error, "a connection of another node could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (services, shutdown) = (Arc::clone(&services), shutdown.clone());
        tokio::spawn(async move {
            let answered = async {
                stream.set_nodelay(true)?;
                services.answer(stream).await
            };
            if let Some(Err(error)) = shutdown.run_until_cancelled(answered).await {
                tracing::debug!(%peer, error = &error as &dyn std::error::Error, "a connection of another node ended");
            }
            drop(place);
        });
    }
}
