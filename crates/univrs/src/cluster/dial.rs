//! Connections to other nodes, by their ids. Where a node is, the directory says.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use univrs_model::ids::NodeId;
use univrs_store::wire::{Dial, Io};
use univrs_trust::tls::NODES;

use crate::cluster::trust::Trust;

/// Stands for any validator, for those that hold no copy of the state.
pub(crate) const ANY_VALIDATOR: &str = "any validator";
/// How long the network may take to make a connection, and then the handshake.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a node's own address may take before the one inside the encrypted network is tried as well.
const HEAD_START: Duration = Duration::from_millis(400);

/// Dials nodes.
pub(crate) struct NodeDial {
    trust: Arc<Trust>,
    own: NodeId,
    turn: AtomicUsize,
}

impl NodeDial {
    pub(crate) fn new(trust: Arc<Trust>, own: NodeId) -> Self {
        // Many nodes should not all begin with the same validator.
        Self { trust, own, turn: AtomicUsize::new(rand::random::<u16>().into()) }
    }

    /// A connection to a node for one of the protocols.
    pub(crate) async fn connect(&self, node: &NodeId, protocol: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let unknown =
            || io::Error::new(io::ErrorKind::NotFound, format!("where node {node} is, is not known here"));
        let address = self.trust.directory().address(node).ok_or_else(unknown)?;
        let config = self.trust.client(Some(node.clone()), protocol)?;
        let connecting = async {
            let stream = reach(&address, self.trust.directory().within(node)).await?;
            // Frames that belong together are written together; waiting for more would only add to the latency.
            stream.set_nodelay(true)?;
            TlsConnector::from(Arc::new(config)).connect(nobody()?, stream).await
        };
        tokio::time::timeout(PATIENCE, connecting).await.unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("node {node} does not answer at {address}")))
        })
    }

    /// The validator whose turn it is.
    fn any_validator(&self) -> io::Result<NodeId> {
        let validators = self.trust.directory().validators(&self.own);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let none = || io::Error::new(io::ErrorKind::NotFound, "no validator is known here");
        validators.get(turn % validators.len().max(1)).cloned().ok_or_else(none)
    }
}

/// A connection to an address, or to the one inside the encrypted network when nobody answers there at once: that leads
/// to nodes behind routers too.
async fn reach(address: &str, within: Option<SocketAddr>) -> io::Result<TcpStream> {
    let direct = TcpStream::connect(address);
    let Some(within) = within else { return direct.await };
    tokio::pin!(direct);
    let refused = match tokio::time::timeout(HEAD_START, &mut direct).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    };
    let inside = TcpStream::connect(within);
    match refused {
        Some(error) => inside.await.map_err(|_| error),
        None => tokio::select! {
            Ok(stream) = inside => Ok(stream),
            done = &mut direct => done,
        },
    }
}

/// Names of hosts mean nothing between nodes, and the library wants one.
pub(super) fn nobody() -> io::Result<ServerName<'static>> {
    ServerName::try_from("node").map_err(io::Error::other)
}

#[async_trait]
impl Dial for NodeDial {
    async fn dial(&self, address: &str) -> io::Result<Box<dyn Io>> {
        let node = match address {
            ANY_VALIDATOR => self.any_validator()?,
            id => id.parse::<NodeId>().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        Ok(Box::new(self.connect(&node, NODES).await?))
    }
}
