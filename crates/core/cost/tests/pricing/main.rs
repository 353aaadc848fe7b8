//! The price book, estimates and the optimiser, from outside the crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has to stop")]

mod aurigraph;
mod broken_rows;
mod build;
mod components;
mod document;
mod example;
mod free_tier;
mod known_prices;
mod latency;
mod numbers;
mod optimiser;
mod optimiser_random;
mod sums;
