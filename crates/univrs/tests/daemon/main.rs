//! The real binary over its public API. With the simulated runtime it takes no root, no kernel and no network but
//! loopback; with Docker it takes root and dockerd, and says so when it is left out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod callers;
mod docker;
#[path = "../../../adapters/runtime/tests/runtime/dockerd.rs"]
mod dockerd;
mod harness;
mod inputs;
mod life;
mod operations;
