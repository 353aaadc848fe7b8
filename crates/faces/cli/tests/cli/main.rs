//! The command line against a scripted server: what is asked, what is printed, how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod access;
mod changes;
mod compose;
mod deploying;
mod documented;
mod endings;
mod foreground;
mod formats;
mod harness;
mod topologies;
mod watching;
