//! Making connections, and keeping one per address.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

/// How long making a connection may take, greetings included.
const OPENING: Duration = Duration::from_secs(2);

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
    ///
    /// A caller that gives up does not undo what was begun: greeting takes several round trips, and between clouds that
    /// is longer than a question between members may take, so nobody would ever get to the end of it.
    pub(crate) async fn get(&self, address: &str, lane: Lane) -> Result<Connection, WireError> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((address.to_owned(), lane)).or_default())
        };
        let mut slot = slot.lock_owned().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_usable()) {
            return Ok(connection.clone());
        }
        let (dial, cluster, address) = (Arc::clone(&self.dial), self.cluster, address.to_owned());
        let opening = tokio::spawn(async move {
            let open = async { Connection::open(dial.dial(&address).await?, cluster).await };
            let connection = tokio::time::timeout(OPENING, open).await.unwrap_or(Err(WireError::Silent))?;
            *slot = Some(connection.clone());
            Ok(connection)
        });
        opening.await.unwrap_or(Err(WireError::Broken("it was not made to the end")))
    }
}
