//! The real binary over its public API. Most tests use the simulated runtime: no root, no kernel, no network but
//! loopback. `bad_images`, `canary`, `docker` and `engines` make real containers, `disk` mounts; without the rights or the
//! programs for that these tests are left out and say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test, and says what the daemon said"
)]

mod bad_images;
mod callers;
mod canary;
mod clock;
mod disk;
mod docker;
#[path = "../../../adapters/runtime/tests/runtime/dockerd.rs"]
mod dockerd;
mod encrypted;
mod engines;
mod faults;
mod harness;
mod inputs;
mod life;
mod logs;
mod mcp;
mod metrics;
mod operations;
#[path = "../cluster/patience.rs"]
mod patience;
mod plans;
#[path = "../cluster/ports.rs"]
mod ports;
mod preempting;
mod refusals;
mod resources;
mod secrets;
mod sockets;
mod volumes;
mod watching;
