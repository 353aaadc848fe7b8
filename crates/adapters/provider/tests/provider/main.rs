//! Every provider passes the conformance suite of its port; those of an engine also at its worst.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod compose;
mod docker;
#[path = "../../../runtime/tests/runtime/dockerd.rs"]
mod dockerd;
mod proxy;
mod simulated;
mod swarm;
mod world;
