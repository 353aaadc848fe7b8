//! What members say to each other, over the wire: the [`Transport`] of the store and its counterpart.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::time::Instant;
use univrs_ports::store::{ClusterId, MemberId};

use super::connection::CallError;
use super::dial::{Connections, Dial, Lane};
use super::session::{Refused, Service};
use super::{Channel, WireError};
use crate::transport::{PeerHandler, Transport, TransportError};

/// Frames above this go over a connection of their own, so that votes and heartbeats never wait behind them.
const LARGE: usize = 64 << 10;

/// Carries the members' frames over connections that are kept.
pub struct WireTransport {
    connections: Connections,
}

impl WireTransport {
    /// Connects as `dial` does, and to members of `cluster` alone when it is given.
    pub fn new(dial: Arc<dyn Dial>, cluster: Option<ClusterId>) -> Self {
        Self { connections: Connections::new(dial, cluster) }
    }
}

#[async_trait]
impl Transport for WireTransport {
    async fn call(
        &self,
        to: MemberId,
        address: &str,
        frame: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        let unreachable = |error: WireError| TransportError::Unreachable {
            to,
            address: address.to_owned(),
            source: error.into(),
        };
        let lost =
            |error: WireError| TransportError::Lost { to, address: address.to_owned(), source: error.into() };
        let deadline = Instant::now() + timeout;
        let lane = if frame.len() > LARGE { Lane::Large } else { Lane::Small };
        loop {
            let connected = tokio::time::timeout_at(deadline, self.connections.get(address, lane)).await;
            let connection = connected.unwrap_or(Err(WireError::Silent)).map_err(unreachable)?;
            let heard = connection.heard();
            let answer = tokio::time::timeout_at(deadline, connection.call(Channel::MEMBERS, &frame)).await;
            match answer {
                Ok(Ok(answer)) => return Ok(answer),
                // It ended while nobody looked; the next one is new.
                Ok(Err(CallError::NotSent(error))) if connection.is_closed() => {
                    if Instant::now() >= deadline {
                        return Err(unreachable(error));
                    }
                }
                Ok(Err(CallError::NotSent(error))) => return Err(unreachable(error)),
                Ok(Err(CallError::Lost(error))) => return Err(lost(error)),
                Ok(Err(CallError::Refused(reason))) => {
                    tracing::warn!(member = %to, address, reason, "another member refused to answer");
                    return Err(unreachable(WireError::Broken("the other side refused")));
                }
                Err(_) => {
                    // Silent all the while: whatever happened to it, a new connection will know sooner.
                    if connection.heard() == heard {
                        connection.retire();
                    }
                    return Err(lost(WireError::Silent));
                }
            }
        }
    }
}

/// Answers the frames that [`WireTransport`] carries.
pub struct MemberService(Arc<dyn PeerHandler>);

impl MemberService {
    /// Answers by a store's handler.
    pub fn new(handler: Arc<dyn PeerHandler>) -> Self {
        Self(handler)
    }
}

impl Service for MemberService {
    fn call(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Refused>> {
        let handler = Arc::clone(&self.0);
        async move { Ok(handler.handle(body).await) }.boxed()
    }

    fn open(&self, _: Bytes) -> Result<BoxStream<'static, Bytes>, Refused> {
        Err(Refused("members have no streams".to_owned()))
    }
}
