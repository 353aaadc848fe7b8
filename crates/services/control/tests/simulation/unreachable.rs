//! Access into containers, which nobody asks for here.

use async_trait::async_trait;
use futures::stream::BoxStream;
use univrs_model::ids::NodeId;
use univrs_ports::node_access::{AccessError, Connection, NodeAccess};
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, LogLine, LogQuery, RuntimeError};

/// Reaches no node.
pub(crate) struct Nowhere;

fn unreachable(node: &NodeId) -> AccessError {
    AccessError::Unreachable {
        node: node.clone(),
        reason: "nobody looks into simulated containers".to_owned(),
    }
}

#[async_trait]
impl NodeAccess for Nowhere {
    async fn logs(
        &self,
        node: &NodeId,
        _: &ContainerId,
        _: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, AccessError> {
        Err(unreachable(node))
    }

    async fn exec(&self, node: &NodeId, _: &ContainerId, _: ExecSpec) -> Result<ExecSession, AccessError> {
        Err(unreachable(node))
    }

    async fn connect(&self, node: &NodeId, _: &str, _: u16) -> Result<Box<dyn Connection>, AccessError> {
        Err(unreachable(node))
    }
}
