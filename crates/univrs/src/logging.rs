//! The daemon's log: lines for people, or one JSON object for each line with `--log-format json`.
//!
//! `--log` filters as `tracing` does (`info`, `univrs_agent=debug`); errors mean that someone must act. Spans stand at
//! the borders of stages and say what a line belongs to: `request` and `commit` at the faces, `decide` in the loop over
//! workloads, `operation` around a long change, `step` where an instance is carried out.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;
use univrs_cli::{LogFormat, UpArgs};

use crate::failure::Failure;

/// What is told where nobody said: what these libraries warn of is of no use to whoever reads this, and what matters
/// of it is said here. The last one would write three lines for every call of a tool.
const USUAL: &str = "info,openraft=error,libp2p=error,rmcp=error";

/// Starts writing the log to standard error.
///
/// # Errors
/// [`Failure::LogFilter`] when the filter cannot be read: nobody should look for lines that are never written.
pub(crate) fn start(args: &UpArgs) -> Result<(), Failure> {
    let given = args.log.as_deref().filter(|filter| !filter.is_empty());
    let filter = EnvFilter::try_new(given.unwrap_or(USUAL))
        .map_err(|source| Failure::LogFilter { filter: given.unwrap_or(USUAL).to_owned(), source })?;
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process changes nothing, and there is none.
    let started = match args.log_format {
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_target(false)
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    drop(started);
    Ok(())
}
