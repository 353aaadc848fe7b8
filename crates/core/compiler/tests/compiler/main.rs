//! The whole way from text to report, cost, proposals and files: the examples, the faults, the promises.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has to stop")]

mod cheaper;
mod documents;
mod examples;
mod faults;
mod others;
mod promises;
mod world;
