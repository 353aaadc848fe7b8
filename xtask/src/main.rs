//! Checks that no ready-made tool makes, run by `make check`:
//!
//! - `layers`: crates depend only downwards, and cores stay free of I/O, clocks and randomness;
//! - `tidy`: files open with what they are for and stay short; no words that belong nowhere;
//! - `errors`: `docs/errors` has a page for each code of the topology compiler; `write-errors` writes them;
//! - `unused`: every dependency of a crate is named by its sources;
//! - `docs`: what documents name exists, and all decisions are listed; `write-decisions` writes the list.

mod docs;
mod errors;
mod layers;
mod tidy;
mod unused;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> = if wanted.is_empty() {
        vec!["layers", "tidy", "unused", "errors", "docs"]
    } else {
        wanted.iter().map(String::as_str).collect()
    };
    let mut failed = false;
    for name in names {
        let faults = match name {
            "layers" => layers::check(),
            "tidy" => tidy::check(),
            "unused" => unused::check(),
            "errors" => errors::check(),
            "write-errors" => errors::write(),
            "docs" => docs::check(),
            "write-decisions" => docs::write_decisions(),
            _ => vec![format!(
                "unknown check `{name}`; there are `layers`, `tidy`, `unused`, `errors`, `docs`, `write-errors` and `write-decisions`"
            )],
        };
        let mut out = std::io::stdout().lock();
        for fault in &faults {
            drop(writeln!(out, "{name}: {fault}"));
        }
        drop(writeln!(out, "{name}: {}", if faults.is_empty() { "ok" } else { "FAILED" }));
        failed |= !faults.is_empty();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
