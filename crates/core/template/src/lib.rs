//! Templates of one-click resources: data in TOML, compiled to the objects that users have.
//!
//! A [`Template`] names its parameters, images, secrets, ports, workloads, and how it is backed up. [`compile()`] checks
//! what a person gave for the parameters and answers a [`Deployment`](univrs_model::resource::Deployment). Nothing here
//! knows a particular template: what a template cannot say, no resource can have.
//!
//! Promises, each with a test:
//! - TPL-1: every built-in template compiles with its defaults to workloads that pass
//!   [`univrs_model::check::workload`].
//! - TPL-2: whatever is given for the parameters, the outcome is a deployment or faults that name `parameters.<name>`,
//!   and what is wrong inside a compose file `parameters.<name>.<path>`.
//! - TPL-3: requests are a quarter of limits, rounded up for a workload as a whole, and the footprint is the sum of what the workloads state.

mod builtin;
mod compile;
mod expand;
mod jobs;
mod parameters;
mod services;
mod source;
mod upkeep;

pub use builtin::builtin;
pub use compile::{Context, compile, value_of};
pub use jobs::{JobValues, job};
pub use source::{ComposeRule, Image, Parameter, ParameterKind, Price, Template};
