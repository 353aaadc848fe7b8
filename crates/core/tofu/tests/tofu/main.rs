#![allow(clippy::unwrap_used, reason = "what fails to be made in a test fails the test")]
//! Emission and checker against the real provider schemas.

mod checker;
mod corpus;
mod examples;
mod schemas;
mod small;
mod world;
