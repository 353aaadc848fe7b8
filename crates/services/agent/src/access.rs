//! Reaching into the instances of this node.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use univrs_model::ids::NodeId;
use univrs_ports::node_access::{AccessError, Connection, NodeAccess};
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, LogLine, LogQuery, Runtime, RuntimeError};

/// Reaches into the instances of one node, from the same process.
pub struct LocalNodeAccess {
    node: NodeId,
    runtime: Option<Arc<dyn Runtime>>,
}

impl LocalNodeAccess {
    /// Access to the containers of `runtime` on `node`; without a runtime there are none.
    pub fn new(node: NodeId, runtime: Option<Arc<dyn Runtime>>) -> Self {
        Self { node, runtime }
    }

    fn runtime(&self, node: &NodeId) -> Result<&Arc<dyn Runtime>, AccessError> {
        let unreachable =
            |reason: &str| AccessError::Unreachable { node: node.clone(), reason: reason.to_owned() };
        if *node != self.node {
            return Err(unreachable("it is another machine and this one has no way to it"));
        }
        self.runtime.as_ref().ok_or_else(|| unreachable("it runs no containers"))
    }
}

#[async_trait]
impl NodeAccess for LocalNodeAccess {
    async fn logs(
        &self,
        node: &NodeId,
        id: &ContainerId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, AccessError> {
        Ok(self.runtime(node)?.logs(id, query).await?)
    }

    async fn exec(
        &self,
        node: &NodeId,
        id: &ContainerId,
        spec: ExecSpec,
    ) -> Result<ExecSession, AccessError> {
        Ok(self.runtime(node)?.exec(id, spec).await?)
    }

    async fn connect(
        &self,
        node: &NodeId,
        address: &str,
        port: u16,
    ) -> Result<Box<dyn Connection>, AccessError> {
        self.runtime(node)?;
        let stream = tokio::net::TcpStream::connect((address, port)).await.map_err(|error| {
            AccessError::Unreachable { node: node.clone(), reason: format!("{address}:{port}: {error}") }
        })?;
        Ok(Box::new(stream))
    }
}
