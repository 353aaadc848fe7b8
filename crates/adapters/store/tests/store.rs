//! The store from the outside: one binary, one module per concern.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "store/cluster.rs"]
mod cluster;
#[path = "store/doubt.rs"]
mod doubt;
#[path = "store/golden.rs"]
mod golden;
#[path = "store/history/mod.rs"]
mod history;
#[path = "store/kill.rs"]
mod kill;
#[path = "store/overtake.rs"]
mod overtake;
#[path = "store/properties.rs"]
mod properties;
#[path = "store/single.rs"]
mod single;
#[path = "store/space.rs"]
mod space;
#[path = "store/support.rs"]
mod support;
#[path = "store/wire.rs"]
mod wire;
