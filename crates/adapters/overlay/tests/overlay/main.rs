//! Two real nodes of the encrypted network, each in a network namespace of its own. Needs root and `ip`; without them
//! the tests are left out and say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test, and one that is left out says so"
)]

mod capture;
mod machines;
mod traffic;
