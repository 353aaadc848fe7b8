//! Deployment providers beside this cluster itself: other places where resources can be made real.
//!
//! [`docker`] and [`swarm`] ask a Docker Engine of this machine. [`simulated::SimulatedProvider`] makes nothing real and
//! says so in its name. The provider `mesh` is not here: it writes workloads and therefore lives with the control plane.

pub mod docker;
mod engine;
pub mod simulated;
pub mod swarm;

pub use engine::ports::listening;
