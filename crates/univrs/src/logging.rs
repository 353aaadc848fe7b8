//! The daemon's log: lines for people, or JSON for machines with `UNIVRS_LOG_FORMAT=json`.
//!
//! `UNIVRS_LOG` filters as `tracing` does (`info`, `univrs_agent=debug`); errors mean that someone must act.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// Starts writing the log to standard error.
pub(crate) fn start() {
    // What these libraries warn of is of no use to whoever reads this; what matters of it is said here. The last one
    // would write three lines for every call of a tool.
    let filter = EnvFilter::try_from_env("UNIVRS_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,openraft=error,libp2p=error,rmcp=error"));
    let json = std::env::var("UNIVRS_LOG_FORMAT").is_ok_and(|format| format == "json");
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process changes nothing, and there is none.
    let started = if json {
        registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
    } else {
        registry
            .with(
                fmt::layer()
                    .with_target(false)
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr),
            )
            .try_init()
    };
    drop(started);
}
