//! The image store from outside: packing, archives, a real registry, hostile registries, and what survives.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

#[path = "image/archives.rs"]
mod archives;
#[path = "image/hostile.rs"]
mod hostile;
#[path = "image/keeping.rs"]
mod keeping;
#[path = "image/packing.rs"]
mod packing;
#[path = "image/peers.rs"]
mod peers;
#[path = "image/registry.rs"]
mod registry;
#[path = "image/sent.rs"]
mod sent;
#[path = "image/server.rs"]
mod server;
#[path = "image/stacking.rs"]
mod stacking;
#[path = "image/support.rs"]
mod support;
