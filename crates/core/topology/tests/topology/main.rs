//! The compiler from text to plan: the examples, the language, bad input, and the promises of the plan.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has to stop")]

mod examples;
mod faces;
mod language;
mod promises;
mod refused;
mod world;
