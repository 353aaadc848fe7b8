//! Membership, discovery and the bridge between them: simulated networks for time, real sockets for everything else.

#[path = "mesh/bridge.rs"]
mod bridge;
#[path = "mesh/detector.rs"]
mod detector;
#[path = "mesh/flood.rs"]
mod flood;
#[path = "mesh/peers.rs"]
mod peers;
#[path = "mesh/quic.rs"]
mod quic;
#[path = "mesh/support.rs"]
mod support;
#[path = "mesh/tiers.rs"]
mod tiers;
