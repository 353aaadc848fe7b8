//! The encrypted network as faces show it: with names, and what to do where it ails.

use univrs_authz::Action;
use univrs_diagnose::mesh_advice;
use univrs_model::caller::Caller;
use univrs_model::mesh::MeshView;

use crate::error::Error;
use crate::handle::Control;

impl Control {
    /// What a node told of the network, with the names of the other nodes and advice.
    ///
    /// # Errors
    /// When the caller may not read nodes.
    pub fn explain_mesh(&self, caller: &Caller, mut view: MeshView) -> Result<MeshView, Error> {
        self.allow(caller, Action::NodeRead, "node")?;
        let state = self.mirror.state();
        for peer in &mut view.peers {
            peer.name = state.nodes.get(&peer.node).map(|node| node.name.to_string()).unwrap_or_default();
            peer.advice = mesh_advice(peer, view.mtu);
        }
        view.peers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(view)
    }
}
