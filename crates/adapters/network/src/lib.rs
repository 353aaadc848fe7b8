//! The network of a node: addresses for instances, published ports, names and HTTP routes.
//!
//! [`NodeNetwork`] gives instances their place in the kernel's network and [`SimulatedNetwork`] pretends to.
//! The two servers know nothing of either: both read a [`univrs_ports::network::ServiceTable`] that others
//! renew, the name server to answer for names under `.internal` and the ingress to pass HTTP requests on.

pub mod dns;
mod docker_rules;
mod generation;
pub mod ingress;
mod inside;
mod links;
mod machine;
mod names;
mod nft;
mod node;
mod range;
mod records;
mod rules;
mod simulated;
mod worker;

pub use nft::published;
pub use node::{NetworkOptions, NodeNetwork};
pub use range::{InvalidRange, Range, pick_free_range};
pub use simulated::SimulatedNetwork;
