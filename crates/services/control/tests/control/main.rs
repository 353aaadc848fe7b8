//! The control plane over a store in memory, with a clock that is set by hand: no node, no network.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod budgets;
mod harness;
mod late;
mod mesh;
mod mortal;
mod planning;
mod resources;
mod watching;
