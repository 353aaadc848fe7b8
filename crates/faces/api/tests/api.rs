//! The face in one process, without a socket: its document, and who may do what.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "api/bodies.rs"]
mod bodies;
#[path = "api/callers.rs"]
mod callers;
#[path = "api/document.rs"]
mod document;
#[path = "api/harness.rs"]
mod harness;
#[path = "api/organisations.rs"]
mod organisations;
#[path = "api/routes.rs"]
mod routes;
#[path = "api/topologies.rs"]
mod topologies;
