//! The encrypted network between nodes, for those who look at it.

use async_trait::async_trait;
use univrs_model::mesh::MeshView;

/// What a node can tell of the encrypted network.
#[async_trait]
pub trait Mesh: Send + Sync + 'static {
    /// The network as this node sees it now.
    async fn look(&self) -> MeshView;
}

/// A node that is not in the network, and why.
pub struct NoMesh(pub String);

#[async_trait]
impl Mesh for NoMesh {
    async fn look(&self) -> MeshView {
        MeshView { absent_because: Some(self.0.clone()), ..MeshView::default() }
    }
}
