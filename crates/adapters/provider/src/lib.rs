//! Deployment providers beside this cluster itself: other places where resources can be made real.
//!
//! [`simulated::SimulatedProvider`] makes nothing real and says so in its name. The provider `mesh` is not here: it
//! writes workloads and therefore lives with the control plane.

pub mod simulated;
