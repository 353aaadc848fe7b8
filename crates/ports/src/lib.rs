//! What the core of Univrs asks of the outside world: one trait for each part, its conformance suite and, where
//! it helps tests, a fake in memory. Adapters fulfil these traits; services see nothing else of the outside.

pub mod authority;
pub mod clock;
pub mod control_plane;
pub mod discovery;
pub mod images;
pub mod issuer;
pub mod keepsake;
pub mod membership;
pub mod mesh;
pub mod network;
pub mod node_access;
pub mod notify;
pub mod programs;
pub mod provider;
pub mod runtime;
pub mod seal;
pub mod secrets;
pub mod store;
pub mod volumes;
