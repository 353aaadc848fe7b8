//! Membership and discovery: who is in the cluster, who is heard of, and how peers find and hear each other.
//!
//! - [`members`]: chitchat gossip over an authenticated channel, and a failure detector that says whom to look at.
//! - [`domains`]: who gossips with whom when there are too many for one domain.
//! - [`discovery`]: libp2p peers, calls to all, and paths through routers.
//! - [`bridge`]: keeps both views one. Members are dialled; peers that joined are introduced; strangers appear nowhere.
//!
//! Nothing here decides where work runs: a node's lease in the state does. What is known of others is kept in memory
//! only and is gathered anew after a start.

pub mod bridge;
pub mod discovery;
pub mod domains;
pub mod members;
