//! The node's side: takes orders, drives each instance through its life with a runtime, reports what it sees.
//!
//! - [`Agent`] registers the node, keeps its lease, and keeps one driver per instance.
//! - `driver` is the only code that calls runtime, images and network; what to do next is decided by the pure
//!   [`univrs_rollout::life`].
//! - `secrets` brings the values of secrets into containers, past every disk.
//! - [`Guard`] ends what may not run alone while the drivers are not there yet.
//! - `measure` reads what resources use and tells it once a minute.
//! - `reporter` batches observations, so that a busy node writes little.
//!
//! Containers outlive this process: at the start the agent adopts what it finds and only then follows orders.

mod access;
mod agent;
mod alone;
mod container;
mod driver;
mod drivers;
mod events;
mod images;
mod measure;
mod probe;
mod reporter;
mod secrets;
mod steps;
mod volumes;

pub use access::LocalNodeAccess;
pub use agent::{Agent, AgentOptions, Machine};
pub use alone::{Guard, OpenRuntime};
pub use images::{Collected, OnCollected};
pub use secrets::Secrets;
