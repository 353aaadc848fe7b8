//! Many real nodes on one Linux machine, to rehearse on and to test with.
//!
//! Each node is an `univrs up` of its own in a network namespace of its own. A router, a namespace too, has one bridge
//! for each region; what goes from one region to another passes a relay that holds it as long as the real distance
//! would. Nodes can be killed as by a power cut, paused, cut off from each other and brought back.
//!
//! [`layout`] decides names, addresses and delays and touches nothing; [`state`] is the file that later commands read;
//! [`raise`], [`faults`] and [`remove`] carry out.

mod error;
pub mod faults;
mod forward;
pub mod keep;
pub mod layout;
mod namespace;
mod nodes;
mod probe;
mod processes;
pub mod raise;
mod relay;
pub mod remove;
pub mod state;
pub mod status;
mod tool;
mod wires;

pub use error::LabError;
