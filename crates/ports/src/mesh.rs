//! The encrypted network between nodes, for those who look at it.

use std::net::SocketAddr;

use async_trait::async_trait;
use univrs_model::ids::NodeId;
use univrs_model::mesh::MeshView;

/// A node that another one hears somewhere else than it says it is: there is a router between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Which node.
    pub node: NodeId,
    /// Who hears it.
    pub by: NodeId,
    /// Where.
    pub at: SocketAddr,
}

/// What a node can tell of the encrypted network.
#[async_trait]
pub trait Mesh: Send + Sync + 'static {
    /// The network as this node sees it now.
    async fn look(&self) -> MeshView;

    /// Nodes that this one hears somewhere else than they say.
    async fn heard(&self) -> Vec<Heard> {
        Vec::new()
    }

    /// What all others hear so; it replaces what was told before.
    fn told(&self, heard: Vec<Heard>) {
        drop(heard);
    }
}

/// A node that is not in the network, and why.
pub struct NoMesh(pub String);

#[async_trait]
impl Mesh for NoMesh {
    async fn look(&self) -> MeshView {
        MeshView { absent_because: Some(self.0.clone()), ..MeshView::default() }
    }
}
