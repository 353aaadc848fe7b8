//! The real binary over its public API, with the simulated runtime: no root, no kernel, no network but loopback.
//!
//! `canary` alone runs real containers; without the rights for that it is left out and says so.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod canary;
mod disk;
mod harness;
mod inputs;
mod life;
mod preempting;
mod secrets;
mod volumes;
