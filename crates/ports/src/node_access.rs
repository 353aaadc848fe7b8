//! What people ask of a running instance, wherever its node is: logs, commands, connections.

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};
use univrs_model::ids::NodeId;

use crate::runtime::{ContainerId, ExecSession, ExecSpec, LogLine, LogQuery, RuntimeError};

/// Why a node could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The node cannot be reached from here.
    #[error("node {node} cannot be reached: {reason}")]
    Unreachable {
        /// Which.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The node answered that it cannot.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// A byte stream to a port of an instance.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Reaches into instances.
#[async_trait]
pub trait NodeAccess: Send + Sync + 'static {
    /// The lines that a container wrote.
    ///
    /// # Errors
    /// See [`AccessError`].
    async fn logs(
        &self,
        node: &NodeId,
        id: &ContainerId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, AccessError>;

    /// Runs a command inside a container.
    ///
    /// # Errors
    /// See [`AccessError`].
    async fn exec(&self, node: &NodeId, id: &ContainerId, spec: ExecSpec)
    -> Result<ExecSession, AccessError>;

    /// Opens a connection to a TCP port of an instance.
    ///
    /// # Errors
    /// See [`AccessError`].
    async fn connect(
        &self,
        node: &NodeId,
        address: &str,
        port: u16,
    ) -> Result<Box<dyn Connection>, AccessError>;
}
