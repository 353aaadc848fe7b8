//! Clusters of real daemons in network namespaces, raised and broken by `univrs lab`. Needs root, `ip`, `nft` and
//! busybox; without them the tests are left out and say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test, and one that is left out says so"
)]

mod adding;
mod archive;
mod halfway;
mod harness;
mod images;
mod loss;
mod nat;
mod network;
#[path = "../cluster/patience.rs"]
mod patience;
mod restarted;
mod singleton;
mod upgrade;
mod wires;
