//! How a node that fell silent in gossip is asked: by a connection to its node port.

use std::sync::Arc;

use async_trait::async_trait;
use univrs_control::Ask;
use univrs_model::ids::NodeId;
use univrs_trust::tls::NODES;

use crate::cluster::dial::NodeDial;

/// Asks by dialling.
pub(super) struct ByDialling(pub(super) Arc<NodeDial>);

#[async_trait]
impl Ask for ByDialling {
    async fn ask(&self, node: &NodeId) -> Result<(), String> {
        self.0.connect(node, NODES).await.map(drop).map_err(|error| error.to_string())
    }
}
