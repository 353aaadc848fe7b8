//! Asking a service of another node, one question at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use univrs_ports::store::ClusterId;

use super::connection::CallError;
use super::dial::{Connections, Dial, Lane};
use super::{Channel, WireError};

/// Asks services of other nodes, over connections that are kept.
pub struct Caller {
    connections: Connections,
}

impl Caller {
    /// Connects as `dial` does, and to nodes of `cluster` alone when it is given.
    pub fn new(dial: Arc<dyn Dial>, cluster: Option<ClusterId>) -> Self {
        Self { connections: Connections::new(dial, cluster) }
    }

    /// One question, one answer, within `timeout`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(
        &self,
        address: &str,
        channel: Channel,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let deadline = Instant::now() + timeout;
        loop {
            let connected =
                tokio::time::timeout_at(deadline, self.connections.get(address, Lane::Small)).await;
            let connection = connected.unwrap_or(Err(WireError::Silent)).map_err(CallError::NotSent)?;
            match tokio::time::timeout_at(deadline, connection.call(channel, body)).await {
                // It ended while nobody looked; the next one is new.
                Ok(Err(CallError::NotSent(_))) if connection.is_closed() && Instant::now() < deadline => {}
                Ok(answered) => return answered,
                Err(_) => {
                    connection.retire();
                    return Err(CallError::Lost(WireError::Silent));
                }
            }
        }
    }
}
