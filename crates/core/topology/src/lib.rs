//! The topology compiler: one file of clouds is read, checked, and made into a plan.
//!
//! ```text
//! text ── source ──► tree with places ── spec ──► what it says ── resolve ──► Topology ── plan ──► Plan
//!                          └───────────── findings: code, path, place, hint ─────────────┘
//! ```
//!
//! Everything is text in and values out. Facts about providers come in through [`catalogue::Catalogue`].
//! [`compile()`] goes the whole way and reports everything it finds wrong in one run.

pub mod allow;
pub mod canonical;
pub mod catalogue;
pub mod cloud;
pub mod codes;
pub mod compile;
pub mod finding;
pub mod graph;
pub mod placeholder;
pub mod plan;
pub mod resolve;
pub mod schema;
pub mod source;
pub mod spec;
pub mod topology;

pub use compile::{Compiled, Input, compile};
