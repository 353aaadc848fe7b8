//! The encrypted network that carries packets between containers of different nodes: WireGuard in this process, over a
//! TUN interface.
//!
//! Each node has a block of the cluster's addresses for its containers. The blocks of its peers are routed to one
//! interface; which node a packet goes to follows from them. [`Overlay::set_peers`] makes the peers what
//! the state says and touches no session of a peer that stays. Every few seconds each peer is asked for an echo through
//! the network, so that [`univrs_ports::mesh::Mesh::look`] can tell round trip, loss and the largest packet that passes.
//!
//! Where no path leads to a peer, `ways` looks for it wherever other nodes hear it, so that both ends make a hole in the
//! routers between them, and then has a third node pass its packets on (`carry`), which cannot read them.

mod carry;
mod error;
mod key;
mod links;
mod overlay;
mod peers;
mod probe;
mod ways;
mod wire;

pub use error::OverlayError;
pub use key::read_or_make as read_or_make_key;
pub use overlay::{Overlay, OverlayOptions};
pub use peers::PeerSpec;
