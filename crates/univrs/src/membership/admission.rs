//! Who a peer is: the node whose record in the state holds its key, while that node is a member.

use std::sync::Arc;

use univrs_control::Mirror;
use univrs_model::ids::NodeId;
use univrs_ports::discovery::Admission;

use crate::cluster::directory::Directory;

/// Looks into the newest picture of the state. A node writes its own record only, over mutual TLS, so a key in it was
/// put there by whoever holds that node's certificate.
pub(super) struct ByRecord {
    pub(super) mirror: Mirror,
    pub(super) directory: Arc<Directory>,
}

impl Admission for ByRecord {
    fn admit(&self, peer: &str, node: &NodeId) -> Result<(), String> {
        if self.directory.is_removed(node) {
            return Err("the node was removed from the cluster".to_owned());
        }
        let state = self.mirror.state();
        match state.nodes.get(node) {
            None => Err("no member is called so".to_owned()),
            Some(record) if record.value.peer.as_deref() == Some(peer) => Ok(()),
            Some(_) => Err("that member has another key".to_owned()),
        }
    }
}
