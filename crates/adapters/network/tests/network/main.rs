//! The network adapter against real kernels and sockets.
//!
//! Every test that needs the kernel makes a machine of its own: a fresh network namespace stands for the host, so
//! nothing of the real host changes and tests do not meet. Without root such tests say so and do nothing.

#[cfg(test)]
mod ingress;
#[cfg(test)]
mod names;
#[cfg(test)]
mod node;
mod separation;
#[cfg(test)]
mod support;
#[cfg(test)]
mod web;
