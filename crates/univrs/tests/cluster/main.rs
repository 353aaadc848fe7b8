//! Several real daemons on loopback become one cluster. Containers are simulated; everything between the nodes is
//! real.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test, and says what the daemons said"
)]

mod backup;
mod disk;
mod drain;
mod harness;
mod images;
mod joining;
mod logs;
mod operators;
mod patience;
mod peers;
mod ports;
mod power;
mod programs;
mod together;
