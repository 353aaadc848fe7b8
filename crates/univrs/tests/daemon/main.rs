//! The real binary over its public API, with the simulated runtime: no root, no kernel, no network but loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod faults;
mod harness;
mod inputs;
mod life;
mod mcp;
mod operations;
mod plans;
