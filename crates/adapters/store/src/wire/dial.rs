//! Making connections, and keeping one per address.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use univrs_ports::store::ClusterId;

use super::WireError;
use super::connection::Connection;

/// Anything that bytes go through in order, both ways.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Reaches other nodes. Whoever implements it decides about names, certificates and encryption.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// A new connection to an address as the membership has it.
    async fn dial(&self, address: &str) -> io::Result<Box<dyn Io>>;
}

/// Plain TCP: for one machine, tests, and below a layer that encrypts.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDial;

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self, address: &str) -> io::Result<Box<dyn Io>> {
        let stream = TcpStream::connect(address).await?;
        // Frames that belong together are written together; waiting for more would only add to the latency.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// What a connection is for: large frames must not hold up small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Small,
    Large,
}

type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// One connection per address and lane, made when it is needed and again when it ended.
pub(crate) struct Connections {
    dial: Arc<dyn Dial>,
    cluster: Option<ClusterId>,
    slots: Mutex<HashMap<(String, Lane), Slot>>,
}

impl Connections {
    pub(crate) fn new(dial: Arc<dyn Dial>, cluster: Option<ClusterId>) -> Self {
        Self { dial, cluster, slots: Mutex::default() }
    }

    /// The connection to an address. Callers that come while it is being made wait for it; the caller bounds the time.
    pub(crate) async fn get(&self, address: &str, lane: Lane) -> Result<Connection, WireError> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((address.to_owned(), lane)).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_usable()) {
            return Ok(connection.clone());
        }
        let connection = Connection::open(self.dial.dial(address).await?, self.cluster).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }
}
