//! The control plane over a store in memory: no node, no network; most of it with a clock that is set by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod budgets;
mod compose;
#[path = "../../../../adapters/runtime/tests/runtime/dockerd.rs"]
mod dockerd;
mod egress;
mod engines;
mod fronted;
mod harness;
mod late;
mod mesh;
mod metering;
mod mortal;
mod pictures;
mod planning;
mod resources;
mod upgrades;
mod watching;
#[path = "../../../../adapters/provider/tests/provider/world.rs"]
mod world;
