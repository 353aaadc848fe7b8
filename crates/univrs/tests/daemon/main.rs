//! The real binary over its public API, with the simulated runtime: no root, no kernel, no network but loopback.
//!
//! `bad_images` and `canary` have the rights to make real containers, `disk` those to mount; without them these tests
//! are left out and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod bad_images;
mod callers;
mod canary;
mod disk;
mod harness;
mod inputs;
mod life;
mod operations;
mod preempting;
mod secrets;
mod volumes;
